"""All methods of the RPC over a small chain, for the targets that speak with them."""

from dataclasses import dataclass
from functools import cache
from typing import Any, Final, final

from cli.decoders import loop, material
from node.rpc.dispatch import Dispatcher
from node.rpc.session import Feeds
from testnet.dev.dev_chain import DevChain
from testnet.dev.server import DevServer

_PORT: Final = 8_545
_LONG: Final = ("evm_mine", "hardhat_mine", "anvil_mine", "evm_setIntervalMining")
"""They make as many blocks as they are asked for, and timers; their arguments are read by
`testnet.dev.readers`, which others drive as well."""
_SNAPSHOTS: Final = ("evm_snapshot", "evm_revert", "hardhat_reset", "anvil_reset")


@final
@dataclass(frozen=True, slots=True)
class Service:
    """A server that listens nowhere."""

    dev: DevChain
    feeds: Feeds
    names: tuple[str, ...]
    dispatcher: Dispatcher


@cache
def service() -> Service:
    """Return all of the RPC's methods, a developer's too, over a chain of its own."""
    dev = material.new_chain()

    async def serve() -> DevServer:
        return DevServer(dev, port=_PORT)

    server = loop.run(serve())
    methods = server.rpc.methods
    kept = {name: each for name, each in methods.items() if name not in (*_LONG, *_SNAPSHOTS)}
    return Service(dev, server.rpc.feeds, tuple(kept), Dispatcher(kept, lambda _name, _is_ok: None))


def call(method: str, *params: Any) -> dict[str, Any]:
    """Return the request of one call."""
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
