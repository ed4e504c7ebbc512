"""From block 0 to the members who sealed a block, by hand-overs that come piece after piece.

A chain may have had any number of epochs, so they do not travel in one message, nor are they held
as more than their bytes: each piece is verified when it comes, and leads on from the one before.
"""

from typing import Final, final

from consensus.certificates import Seal
from consensus.light import EpochChain
from crypto.errors import InvalidProof
from crypto.hashing import Digest
from node.hand_over import HandOver
from vm.block import Header

EPOCHS_PER_PIECE: Final = 64
"""At 128 members a piece takes 0.7 MB, one part, and most of a second to verify: so long a node
that joins does nothing else."""


@final
class UnsealedBlock(InvalidProof):
    """The seal that was shown with a block is none."""


@final
class EpochWalk:
    """The way to one block; `is_complete` once its seal is verified."""

    def __init__(self, genesis: HandOver, header: Header, seal: Seal) -> None:
        """Begin at block 0.

        Args:
            genesis: block 0 and the founders, as this node computes them.
            header: of the block that is to be proven.
            seal: which somebody showed with it.
        """
        self._genesis = genesis
        self._header = header
        self._seal = seal
        self._newest = genesis.membership
        self.pieces = 0
        """How many have been taken."""
        self.is_complete = False
        self.rows: list[tuple[int, Digest, bytes]] = []
        """Height and hash of each block that begins an epoch, and its hand-over, as kept."""

    def take(self, steps: list[HandOver]) -> None:
        """Take the next piece, or nothing of it.

        Raises:
            UnsealedBlock: the way is whole, and the members did not seal the block.
            InvalidProof: the piece does not lead on.
        """
        if self.is_complete or not 0 < len(steps) <= EPOCHS_PER_PIECE:
            raise InvalidProof(f"must be 1 to {EPOCHS_PER_PIECE} hand-overs that are wanted")
        epochs = EpochChain(self._genesis.header.hash, self._newest)
        rest = steps
        if self.pieces == 0:
            if steps[0] != self._genesis:
                raise InvalidProof("does not begin at this chain's genesis")
            rest = steps[1:]
        for step in rest:
            if step.seal is None:
                raise InvalidProof("begins twice")
            epochs.hand_over(step.header.number, step.header.hash, step.seal, step.membership)
        if epochs.newest.first_height > self._header.number + 1:
            raise InvalidProof("goes on above the block")
        is_there = epochs.newest.hash() == self._header.next_members_hash
        if is_there:
            self._verify(epochs)
        elif len(steps) < EPOCHS_PER_PIECE:
            raise InvalidProof("ends before the set that seals the next block")
        self._newest = epochs.newest
        self.pieces += 1
        self.is_complete = is_there
        self.rows += [(each.header.number, each.header.hash, each.to_bytes()) for each in steps]

    def _verify(self, epochs: EpochChain) -> None:
        header = self._header
        try:
            epochs.verify(header.number, header.hash, self._seal)
        except InvalidProof as error:
            raise UnsealedBlock(str(error)) from None
