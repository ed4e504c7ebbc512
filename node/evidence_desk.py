"""Takes the replica's evidence to the chain, in the household's name.

By an ordinary transaction of the member's own account, not by a kind of its own: its quota bounds
it, every block rule exists already, and a report that fails harms nobody. Every correct member
that saw the offence holds the evidence; they report one after the other, by their index, and who
finds it on record has nothing to do. What is pending is kept over a restart.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

import structlog

from consensus.events import Evidence
from consensus.evidence import Proof, encode_evidence, offence_key, offender, proof_from
from crypto import abi
from crypto.keys import AccountKey
from node.chain import Chain
from node.errors import MempoolFull
from node.storage.evidence_store import EvidenceStore
from vm.errors import InvalidTransaction
from vm.transaction import sign_transaction

CONTRACT: Final = "accountability"
PENDING_MAX: Final = 64
"""Offences that wait to be reported; more of them tell nothing new."""
TURN_S: Final = 3.0
"""How long each member leaves the one before it to report, and waits before it tries again."""
TRIES_MAX: Final = 5
_GAS: Final = 2_000_000
_VIEW_GAS: Final = 5_000_000

_log = structlog.get_logger("evidence")


@final
@dataclass(slots=True)
class _Case:
    proof: Proof
    due_s: float
    tries: int = 0


@final
class EvidenceDesk:
    """Of one node. `tick` it now and then."""

    def __init__(
        self,
        *,
        chain: Chain,
        account: AccountKey,
        turn: Callable[[], int | None],
        store: EvidenceStore,
    ) -> None:
        """Take up what an earlier run left in `store`, from the first tick on.

        Args:
            chain: with the contract that keeps the record.
            account: the household's, which pays.
            turn: this node's index in the member set; None while it is not a member.
            store: keeps what is pending.
        """
        self._chain = chain
        self._account = account
        self._turn = turn
        self._store = store
        self._left = store.load()
        self._cases: dict[object, _Case] = {}
        self._convicted: dict[bytes, None] = {}

    @property
    def convicted(self) -> int:
        """How many keys this node has seen break the protocol, since it started."""
        return len(self._convicted)

    @property
    def pending(self) -> int:
        """Offences that are not on record yet."""
        return len(self._cases)

    def take(self, evidence: Evidence, now_s: float) -> None:
        """Note what the replica found."""
        proof = proof_from(evidence.first, evidence.second, evidence.view_change)
        assert proof is not None, "the replica accuses by messages that contradict each other"
        members = self._chain.membership()
        if evidence.first.slot.epoch == members.epoch:
            self._convicted[members.members[offender(proof)]] = None
        if self._open(proof, now_s):
            self._store.keep(proof)

    def tick(self, now_s: float) -> None:
        """Report what is due and not on record."""
        if self._left and self._turn() is not None:
            for proof in self._left:
                if not self._open(proof, now_s):
                    self._store.forget(proof)
            self._left = []
        contracts = {each.NAME: each for each in self._chain.machine.contracts.values()}
        contract = contracts.get(CONTRACT)
        for key, case in list(self._cases.items()):
            if now_s < case.due_s:
                continue
            evidence = encode_evidence(case.proof)
            if (
                contract is None
                or case.tries >= TRIES_MAX
                or self._is_settled(contract.ADDRESS, evidence)
            ):
                del self._cases[key]
                self._store.forget(case.proof)
                continue
            case.tries += 1
            case.due_s = now_s + TURN_S
            self._report(contract.ADDRESS, evidence)

    def _open(self, proof: Proof, now_s: float) -> bool:
        """Whether a case is made of it: it is new, there is room, and this node is a member."""
        key = (proof.votes[0].slot.epoch, offence_key(proof))
        turn = self._turn()
        if key in self._cases or len(self._cases) >= PENDING_MAX or turn is None:
            return False
        self._cases[key] = _Case(proof, now_s + TURN_S * turn)
        return True

    def _is_settled(self, address: bytes, evidence: bytes) -> bool:
        """Whether it is on record, or can never be: a dry run says so."""
        data = abi.selector("isRecorded(bytes)") + abi.encode(("bytes",), [evidence])
        result = self._chain.call(address, data, sender=self._account.address, gas=_VIEW_GAS)
        return result.status != 1 or bool(abi.decode(("bool",), result.output)[0])

    def _report(self, address: bytes, evidence: bytes) -> None:
        chain, account = self._chain, self._account
        raw = sign_transaction(
            account,
            chain_id=chain.chain_id,
            nonce=chain.pending_nonce(account.address),
            to=address,
            gas_limit=_GAS,
            data=abi.selector("reportEvidence(bytes)") + abi.encode(("bytes",), [evidence]),
        )
        try:
            chain.submit(raw)
        except (InvalidTransaction, MempoolFull) as error:
            _log.warning("evidence not sent", reason=str(error))
        else:
            _log.info("evidence sent", bytes=len(evidence))
