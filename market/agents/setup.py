"""Registration of a household's agents: once, when the software first runs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

from nacl import bindings as sodium

from crypto import codec
from crypto.hashing import tagged_hash
from crypto.keys import AccountKey
from market.abi import (
    AGENT_CONSENT_FIELDS,
    AGENT_CONSENT_TAG,
    AgentRegistered,
    Event,
    InfoPublished,
)
from market.agents.actions import Action, CallView
from market.agents.observations import ViewAnswer
from market.agents.outbox import Outbox

VIEW = ("registered-agents", 0)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class AgentIdentity:
    """What `publishInfo` says of every agent of the household."""

    chain_id: int
    household: AccountKey
    agents: Mapping[str, AccountKey]
    """By account name ("seller"), in the order of registration."""
    box_key: bytes
    """32 bytes, X25519: for sealed messages to the household."""
    data_key: bytes = field(repr=False)
    """32 secret bytes: whoever is given them can open the sealed household."""
    endpoint: str


@final
class AgentSetup:
    """Registers each agent with its consent, then publishes its keys."""

    def __init__(self, identity: AgentIdentity, outbox: Outbox) -> None:
        self._identity = identity
        self._outbox = outbox
        self._names = {key.address: name for name, key in identity.agents.items()}
        self._missing: set[str] | None = None
        self._asked_ms: int | None = None
        self._unpublished: set[str] = set()

    @property
    def is_complete(self) -> bool:
        """Whether all agents may send transactions."""
        return self._missing is not None and not self._missing

    def see(self, event: Event) -> None:
        """Follow our agents' registration."""
        match event:
            case AgentRegistered(_, agent) if agent in self._names:
                name = self._names[agent]
                if self._missing is not None:
                    self._missing.discard(name)
                self._unpublished.add(name)
                self._outbox.done((f"register-{name}", 0))
            case InfoPublished(agent, _) if agent in self._names:
                self._unpublished.discard(self._names[agent])
                self._outbox.done((f"publish-{self._names[agent]}", 0))
            case _:
                pass

    def answer(self, answer: ViewAnswer) -> None:
        """Take the list of agents that the chain has."""
        known = set(answer.values[0])
        names = self._identity.agents.items()
        self._missing = {name for name, key in names if key.address not in known}

    def tick(self, now_ms: int, retry_ms: int) -> tuple[Action, ...]:
        """Ask, register, publish: whatever comes next."""
        if self._missing is None:
            if self._asked_ms is not None and now_ms - self._asked_ms < retry_ms:
                return ()
            self._asked_ms = now_ms
            household = self._identity.household.address
            return (CallView(VIEW, "Registry", "agentsOf", (household,)),)
        actions: list[Action] = []
        for name in sorted(self._missing):
            actions += self._outbox.attempt(
                (f"register-{name}", 0),
                now_ms,
                account="household",
                contract="Registry",
                function="registerAgent",
                args=(self._identity.agents[name].address, self._consent(name)),
            )
        for name in sorted(self._unpublished - self._missing):
            actions += self._outbox.attempt(
                (f"publish-{name}", 0),
                now_ms,
                account=name,
                contract="Registry",
                function="publishInfo",
                args=(self._identity.box_key, self._sealed(name), self._identity.endpoint),
            )
        return tuple(actions)

    def _consent(self, name: str) -> bytes:
        """The agent's signature that it belongs to this household."""
        agent = self._identity.agents[name]
        values: dict[str, int | bytes] = {
            "chain_id": self._identity.chain_id,
            "household": self._identity.household.address,
            "agent": agent.address,
        }
        content = codec.encode([values[field] for field in AGENT_CONSENT_FIELDS])
        return agent.sign65(tagged_hash(AGENT_CONSENT_TAG, content))

    def _sealed(self, name: str) -> bytes:
        """The household's address, sealed for an auditor to whom the household gives its key."""
        key = tagged_hash(b"hearth/agents/info", self._identity.data_key)
        agent = self._identity.agents[name].address
        nonce = tagged_hash(b"hearth/agents/info-nonce", self._identity.data_key, agent)[:24]
        sealed: bytes = sodium.crypto_secretbox(self._identity.household.address, nonce, key)
        return nonce + sealed
