"""Ethereum's own Python libraries, as judges of ours.

Imported here once, before any test runs: one of their dependencies raises the recursion limit,
about which Hypothesis complains when it happens inside a test.
"""

import sys
import warnings

_LIMIT = sys.getrecursionlimit()
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import eth_abi
    from eth_account import Account
    from eth_account.messages import encode_typed_data

sys.setrecursionlimit(_LIMIT)

__all__ = ["Account", "encode_typed_data", "eth_abi"]
