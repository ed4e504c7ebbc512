# pragma version ~=0.4.3
# pragma evm-version cancun

@external
@pure
def run(rounds: uint256) -> uint256:
    total: uint256 = 7
    for i: uint256 in range(rounds, bound=1_000_000):
        total = (total * 31 + i) % 1_000_000_007
    return total
