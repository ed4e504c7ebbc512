"""What a node reads of the shared key is what the contract says."""

from types import SimpleNamespace

from consensus.membership import Epoch, Membership
from node.community import read_key_state
from node.key_keeper import KeyKeeper, deal_args
from tests.market.contracts.chain import Chain, home
from tests.market.contracts.members import members, node


def node_chain(chain):
    """Return as much of a node's chain as reading needs."""
    now = members(chain)

    def call(to, data, *, sender, gas):
        return chain.machine.call(chain.head, chain.state, sender=sender, to=to, data=data, gas=gas)

    return SimpleNamespace(
        machine=chain.machine,
        membership=lambda: Membership(Epoch(now.epoch), now.keys),
        call=call,
    )


def test_a_node_reads_the_key_that_was_dealt():
    chain = Chain()
    keeper = KeyKeeper(node(2), home(2).address, chain.machine.genesis.hash)
    none = read_key_state(node_chain(chain), home(2).address)
    assert (none.is_due, none.key_hash, none.boxes) == (False, b"", b"")
    assert keeper.key(none) is None
    args = deal_args(chain.machine.genesis.hash, 0, home(0).address, members(chain).keys)
    chain.send(home(0), "Membership", "rekey", *args)
    state = read_key_state(node_chain(chain), home(2).address)
    assert (state.epoch, state.key_epoch, state.key_hash) == (0, 0, args[1])
    assert state.members == members(chain).keys
    assert len(keeper.key(state)) == 32
