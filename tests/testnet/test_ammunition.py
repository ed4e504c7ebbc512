"""What the flooder sends is what it is meant to be: else a flood would test nothing."""

import pytest

from consensus.certificates import SigningDomain
from consensus.config import MAX_BODY_BYTES
from consensus.errors import MalformedMessage
from consensus.evidence import DoubleVote, proof_from
from consensus.keyring import Ed25519Keyring
from consensus.messages import Commit, NewView, Prepare, PrePrepare, ViewChange
from consensus.wire import decode_message, signed_core
from crypto.errors import DecodeError
from node.gossip import decode_batch
from node.p2p.frames import Channel, decode_frame
from node.relay import Envelope
from testnet.ammunition import Ammunition
from tests.node.homes import household, make_homes
from vm.transaction import decode

FIRST = b"first".ljust(32, b"-")


@pytest.fixture
def genesis(tmp_path):
    return make_homes(tmp_path)[0]


def frames(genesis, *, is_polite):
    lies = Ammunition(household(0), genesis, FIRST, seed=7)
    for name, make in lies.kinds(is_polite=is_polite).items():
        for frame in make():
            yield name, frame


def test_on_a_polite_link_every_frame_is_well_formed_and_every_vote_is_signed(genesis):
    lies = Ammunition(household(0), genesis, FIRST, seed=7)
    domain = SigningDomain(FIRST, lies.membership.hash())
    channels, votes = set(), []
    for _, frame in frames(genesis, is_polite=True):
        channel, payload = decode_frame(frame)
        channels.add(channel)
        match channel:
            case Channel.CONSENSUS | Channel.CATCH_UP:
                message = decode_message(payload)
                if isinstance(message, PrePrepare | Prepare | Commit | ViewChange | NewView):
                    votes.append(signed_core(message))
            case Channel.TRANSACTIONS:
                for raw in decode_batch(payload):
                    assert decode(raw).sender() == household(0).account.address
            case Channel.RELAY:
                Envelope.decode(payload[1:])
    assert channels == {
        Channel.CONSENSUS,
        Channel.CATCH_UP,
        Channel.TRANSACTIONS,
        Channel.RELAY,
    }
    assert len(votes) > 100
    for vote in votes:
        payload = domain.payload(vote.kind, vote.slot, vote.digest)
        key = lies.membership.members[vote.sender]
        assert Ed25519Keyring(None).verify(key, payload, vote.signature)
    slots = [(vote.kind, vote.slot) for vote in votes]
    assert len(set(slots)) == len(slots), "two votes for a slot would be evidence"


def test_on_a_rude_link_there_is_all_that_is_forbidden(genesis):
    kinds, malformed, largest = set(), 0, 0
    doubles = []
    for name, frame in frames(genesis, is_polite=False):
        kinds.add(name)
        largest = max(largest, len(frame))
        try:
            channel, payload = decode_frame(frame)
            if channel in (Channel.CONSENSUS, Channel.CATCH_UP):
                message = decode_message(payload)
                if name == "double votes":
                    doubles.append(signed_core(message))
        except (DecodeError, MalformedMessage):
            malformed += 1
    assert malformed > 0
    assert largest > MAX_BODY_BYTES
    assert {"proposals", "view changes", "new views", "forged blocks", "noise"} <= kinds
    assert isinstance(proof_from(doubles[0], doubles[1]), DoubleVote)
