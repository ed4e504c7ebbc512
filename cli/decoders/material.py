"""What the seeds are made of: one small chain of real blocks, real votes and real keys."""

from collections.abc import Callable
from functools import cache
from hashlib import shake_256
from itertools import count

from consensus.certificates import Head, Kind, Seal, SignedVote, SigningDomain, Slot
from consensus.membership import Epoch, Height, MemberIndex, Term, View
from crypto.hashing import Digest
from crypto.keys import AccountKey
from node.hand_over import HandOver
from node.records import BlockRecord
from testnet.dev.clock import VirtualClock
from testnet.dev.community import GENESIS_MS, make_community
from testnet.dev.dev_chain import DevChain
from testnet.dev.funding import fund
from vm.members import read_members, write_members
from vm.transaction import sign_transaction

RECEIVER = bytes.fromhex("00000000000000000000000000000000000000aa")
# PUSH1 7, PUSH0, MSTORE; emit it as a log with one topic, then return it.
INIT_CODE = bytes.fromhex("60075f52602a60205fa160205ff3")
VIEW = View(3)


def rng() -> Callable[[int], bytes]:
    """Return a source of bytes that gives the same ones each time: seeds must not change."""
    calls = count()
    return lambda size: shake_256(b"decoder seeds %d" % next(calls)).digest(size)


def new_chain() -> DevChain:
    """Return a chain of four blocks: funds, a new contract and a call, another member set."""
    dev = DevChain(make_community(), VirtualClock(GENESIS_MS + 60_000, lambda: 0))
    fund(dev)
    dev.is_automine = False
    owner = dev.community.accounts[0]
    for nonce, (to, data) in enumerate(((None, INIT_CODE), (RECEIVER, b""))):
        dev.chain.submit(_signed(dev, owner, nonce, to, data))
    dev.mine()
    members = read_members(dev.chain.state())
    rest = members.keys[:-1]
    dev.edit(lambda journal: write_members(journal, members.next(dev.chain.height + 1, rest)))
    dev.mine()
    return dev


@cache
def chain() -> DevChain:
    """Return such a chain, which nobody may change."""
    return new_chain()


def _signed(dev: DevChain, key: AccountKey, nonce: int, to: bytes | None, data: bytes) -> bytes:
    return sign_transaction(
        key, chain_id=dev.chain.chain_id, nonce=nonce, to=to, data=data, gas_limit=200_000
    )


def block(height: int) -> BlockRecord:
    """Return a block of the chain."""
    record = chain().chain.record(height)
    assert record is not None, "it is below the head"
    return record


def seal(height: int) -> Seal:
    """Return a block's seal."""
    found = chain().chain.seal(height)
    assert found is not None, "it is above block 0"
    return found


def hand_overs() -> list[HandOver]:
    """Return the steps from the founders to the set of today."""
    return list(chain().chain.epochs())


def slot(height: int, view: View = VIEW) -> Slot:
    """Return a slot of the first epoch."""
    return Slot(epoch=Epoch(0), term=Term(0), view=view, height=Height(height))


def digest(number: int) -> Digest:
    """Return 32 bytes that stand for a block."""
    return Digest(shake_256(b"%d" % number).digest(32))


def vote(kind: Kind, place: Slot, content: Digest, member: int) -> SignedVote:
    """Return what that member signs for `content` in that slot."""
    dev = chain()
    founders = hand_overs()[0].membership
    domain = SigningDomain(dev.chain.store.digest(0), founders.hash())
    keys = {key.public: key for key in dev.community.nodes}
    key = keys[founders.members[member]]
    return SignedVote(
        kind=kind,
        slot=place,
        digest=content,
        sender=MemberIndex(member),
        signature=key.sign(domain.payload(kind, place, content)),
    )


def head() -> Head:
    """Return a proven head."""
    return Head(height=Height(2), digest=block(2).hash, seal=seal(2))
