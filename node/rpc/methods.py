"""All methods of a node in one table, with the document that describes them."""

from node.chain import Chain
from node.rpc.debug import DebugMethods
from node.rpc.dispatch import Handler, Method
from node.rpc.handlers_eth import EthMethods
from node.rpc.handlers_hearth import HearthMethods
from node.rpc.handlers_light import LightMethods
from node.rpc.handlers_ots import OtterscanMethods
from node.rpc.handlers_snapshot import SnapshotMethods
from node.rpc.handlers_state import StateMethods
from node.rpc.handlers_txpool import TxpoolMethods
from node.rpc.openrpc import SIGNATURES, document, socket_methods
from node.rpc.signature import bind
from node.snapshot_server import SnapshotServer


def ethereum_methods(chain: Chain, eth: EthMethods) -> dict[str, Handler]:
    """Return the handlers that Ethereum's clients know, by name: they need a chain alone."""
    debug = DebugMethods(chain)
    return {
        **eth.table(),
        **StateMethods(chain).table(),
        **TxpoolMethods(chain).table(),
        **debug.table(),
        **OtterscanMethods(chain, debug).table(),
    }


def method_table(
    chain: Chain,
    eth: EthMethods,
    hearth: HearthMethods | None,
    snapshots: SnapshotServer | None = None,
) -> dict[str, Method]:
    """Return the methods by name; `rpc.discover` describes them and those of a WebSocket.

    Args:
        chain: that is asked.
        eth: handlers over it.
        hearth: our own methods; None where there is a chain without a node.
        snapshots: what the node holds for those who join, where it does.
    """
    handlers = ethereum_methods(chain, eth)
    if hearth is not None:
        handlers |= hearth.table() | LightMethods(chain).table()
    if snapshots is not None:
        handlers |= SnapshotMethods(snapshots).table()
    description = document((*handlers, "rpc.discover", *socket_methods()))
    handlers["rpc.discover"] = lambda _: description
    return bind(handlers, SIGNATURES)
