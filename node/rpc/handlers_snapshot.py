"""`hearth_` for backups: the certified state at the head, item by item, of a node that runs."""

from typing import Final, final

from crypto.hashing import DIGEST_BYTES, Digest
from node.rpc.dispatch import Handler
from node.rpc.errors import Code, RpcFault
from node.rpc.values import Args, Out, read_data, read_int, to_data
from node.rpc.views import header_json, seal_json
from node.snapshot_server import SnapshotServer
from node.snapshot_wire import ITEM_BYTES_MAX, ITEM_LIMIT, GetPart, Part

SNAPSHOT_METHODS: Final = ("hearth_holdSnapshot", "hearth_getSnapshotPart")


@final
class SnapshotMethods:
    """Handlers over what a node serves to those who join."""

    def __init__(self, server: SnapshotServer) -> None:
        self._server = server

    def table(self) -> dict[str, Handler]:
        """Return the handlers by name."""
        return {"hearth_holdSnapshot": self.hold, "hearth_getSnapshotPart": self.part}

    def hold(self, _: Args) -> Out:
        """Hold the state at the head until two later ones are held; return its block."""
        self._server.pin_head()
        offers = self._server.offers().offers
        if not offers:
            raise RpcFault(Code.SERVER, "the chain has no block yet")
        return {"header": header_json(offers[-1].header), "seal": seal_json(offers[-1].seal)}

    def part(self, args: Args) -> Out:
        """At most a mebibyte of an item, from an offset on; docs/spec/wire.md lists the items."""
        snapshot = Digest(read_data(args.get(0), "snapshot", length=DIGEST_BYTES))
        item = read_int(args.get(1), "item", 0, ITEM_LIMIT - 1)
        offset = read_int(args.get(2), "offset", 0, ITEM_BYTES_MAX - 1)
        part = self._server.part(GetPart(snapshot, item, offset))
        if not isinstance(part, Part):
            raise RpcFault(Code.SERVER, "this snapshot is not held, or has no such part")
        return {"total": part.total, "data": to_data(part.data)}
