"""Who the members are at the head, kept up to date: for network, RPC, log and `/why`."""

from collections.abc import Callable
from typing import final

from consensus.membership import MemberIndex
from node.chain import Chain
from node.community import Community, contract_address, read_community
from node.records import BlockRecord


@final
class Directory:
    """Of one node. Reads the community anew only when a block has touched it."""

    def __init__(self, chain: Chain, *, name: str, node_key: bytes) -> None:
        """Begin at the head of `chain`.

        Args:
            chain: the node's.
            name: this household's, for people.
            node_key: this node's public key; it need not be a member's.
        """
        self._chain = chain
        self.name = name
        self.node_key = node_key
        self.community: Community = read_community(chain)
        self._address = contract_address(chain)
        self._on_change: list[Callable[[], None]] = []
        chain.on_block(self._on_block)
        chain.on_reopen(self._read)

    @property
    def me(self) -> MemberIndex | None:
        """This node's index in the present epoch, None for a node that is no member."""
        return self._chain.membership().index_of(self.node_key)

    @property
    def names(self) -> tuple[str, ...]:
        """The members' names by index in the present epoch."""
        return self.names_at(self._chain.height + 1)

    def names_at(self, height: int) -> tuple[str, ...]:
        """Return the names, by index, of the members that seal the block at `height`.

        A former member has none any more: then a piece of its key stands for it.
        """
        names = self.community.names()
        keys = self._chain.membership_at(height).members
        return tuple(names.get(key) or f"former member {key.hex()[:8]}" for key in keys)

    def on_change(self, callback: Callable[[], None]) -> None:
        """Have `callback` called whenever members or accepted changes may be others."""
        self._on_change.append(callback)

    def _on_block(self, record: BlockRecord) -> None:
        if self._address is None:
            return
        logs = (log for receipt in record.receipts for log in receipt.logs)
        if any(log.address == self._address for log in logs):
            self._read()

    def _read(self) -> None:
        self.community = read_community(self._chain)
        for callback in self._on_change:
            callback()
