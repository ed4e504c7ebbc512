"""Registry: which accounts act for which household, and where its agents can be reached."""

from typing import Annotated, final

from market.abi import (
    AGENT_CONSENT_FIELDS,
    AGENT_CONSENT_TAG,
    AGENTS_PER_HOUSEHOLD_MAX,
    ENDPOINT_CHARS_MAX,
    EVENTS,
    MEMBERSHIP,
    REGISTRY,
    SEALED_HOUSEHOLD_BYTES_MAX,
    ZERO_ADDRESS,
    AgentRegistered,
    AgentRevoked,
    InfoPublished,
    RevertCode,
)
from market.contracts.erc20 import check_recipient
from market.contracts.membership import member_of
from market.contracts.signed import check_account, digest_of
from market.contracts.storage import split_addresses
from vm.errors import Revert
from vm.gas import METHOD
from vm.native import (
    Abi,
    Address,
    Bytes,
    Bytes32,
    CallContext,
    NativeContract,
    Str,
    external,
    view,
)

_AGENTS = b"a"
"""Household -> its agents' accounts, joined, in order of registration."""
_BOX_KEY = b"k"
_SEALED = b"s"
_ENDPOINT = b"n"

AddressList = Annotated[list[bytes], Abi("address[]")]


@final
class Registry(NativeContract):
    """Agents of households; keys of members."""

    ADDRESS = REGISTRY
    NAME = "registry"
    PRIVILEGED = True
    EVENTS = EVENTS["Registry"]

    @external(gas=METHOD)
    def register_agent(self, ctx: CallContext, agent: Address, consent: Bytes) -> None:
        """Let `agent` send transactions and act for the caller's household or service.

        Only the household's own account may do so: a stolen agent key must not make more agents.

        Args:
            consent: 65-byte signature by `agent` over the digest of AGENT_CONSENT_FIELDS; nobody
                can take an account in without its holder.

        Reverts:
            NOT_HOUSEHOLD: the caller is itself an agent.
            BAD_RECIPIENT: zero or a native contract.
            ALREADY_REGISTERED: as this or any household's account.
            TOO_MANY: AGENTS_PER_HOUSEHOLD_MAX.
            BAD_SIGNATURE.

        Emits: AgentRegistered.
        """
        household = _require_principal(ctx)
        check_recipient(agent)
        if ctx.sponsor_of(agent):
            raise Revert(RevertCode.ALREADY_REGISTERED, f"0x{agent.hex()}")
        agents = ctx.get(_AGENTS + household)
        if len(split_addresses(agents)) >= AGENTS_PER_HOUSEHOLD_MAX:
            raise Revert(RevertCode.TOO_MANY, f"{AGENTS_PER_HOUSEHOLD_MAX} agents already")
        values: dict[str, int | bytes | str] = {
            "chain_id": ctx.chain_id,
            "household": household,
            "agent": agent,
        }
        digest = digest_of(AGENT_CONSENT_TAG, AGENT_CONSENT_FIELDS, values)
        check_account(ctx, agent, digest, consent)
        ctx.register_account(agent, household)
        ctx.put(_AGENTS + household, agents + agent)
        ctx.emit(AgentRegistered(household, agent))

    @external(gas=METHOD)
    def revoke_agent(self, ctx: CallContext, agent: Address) -> None:
        """Take back what `registerAgent` gave; what the agent published is deleted.

        Reverts:
            NOT_HOUSEHOLD: the caller is itself an agent.
            NOT_REGISTERED: not an agent of this household.

        Emits: AgentRevoked.
        """
        household = _require_principal(ctx)
        agents = split_addresses(ctx.get(_AGENTS + household))
        if agent not in agents:
            raise Revert(RevertCode.NOT_REGISTERED, f"0x{agent.hex()}")
        agents.remove(agent)
        ctx.put(_AGENTS + household, b"".join(agents))
        for prefix in (_BOX_KEY, _SEALED, _ENDPOINT):
            ctx.put(prefix + agent, b"")
        ctx.unregister_account(agent)
        ctx.emit(AgentRevoked(household, agent))

    @external(gas=METHOD)
    def publish_info(
        self, ctx: CallContext, box_key: Bytes32, sealed_household: Bytes, endpoint: Str
    ) -> None:
        """Publish how the calling account is reached; once, until it is revoked.

        Args:
            box_key: X25519 key to which messages are sealed; not zero.
            sealed_household: who it belongs to, sealed for those who may know; may be empty.
            endpoint: "host:port", or empty where only the relay is used.

        Reverts:
            BAD_ARGUMENT: a length, or a key of zeros.
            ALREADY_PUBLISHED.

        Emits: InfoPublished.
        """
        if not any(box_key):
            raise Revert(RevertCode.BAD_ARGUMENT, "boxKey is zero")
        if len(sealed_household) > SEALED_HOUSEHOLD_BYTES_MAX:
            detail = f"sealedHousehold must be at most {SEALED_HOUSEHOLD_BYTES_MAX} bytes"
            raise Revert(RevertCode.BAD_ARGUMENT, f"{detail}, got {len(sealed_household)}")
        if len(endpoint) > ENDPOINT_CHARS_MAX:
            detail = f"endpoint must have at most {ENDPOINT_CHARS_MAX} characters"
            raise Revert(RevertCode.BAD_ARGUMENT, f"{detail}, got {len(endpoint)}")
        if ctx.get(_BOX_KEY + ctx.caller):
            raise Revert(RevertCode.ALREADY_PUBLISHED, f"0x{ctx.caller.hex()}")
        ctx.put(_BOX_KEY + ctx.caller, box_key)
        ctx.put(_SEALED + ctx.caller, sealed_household)
        ctx.put(_ENDPOINT + ctx.caller, endpoint.encode())
        ctx.emit(InfoPublished(ctx.caller, box_key))

    @view(gas=METHOD)
    def info(self, ctx: CallContext, agent: Address) -> tuple[Bytes32, Bytes, Str]:
        """Return (boxKey, sealedHousehold, endpoint); zero and empty if nothing is published."""
        box_key = ctx.get(_BOX_KEY + agent) or bytes(32)
        return box_key, ctx.get(_SEALED + agent), ctx.get(_ENDPOINT + agent).decode()

    @view(gas=METHOD)
    def agents_of(self, ctx: CallContext, household: Address) -> AddressList:
        """Return the registered agents of a household, oldest first."""
        return split_addresses(ctx.get(_AGENTS + household))

    @view(gas=METHOD)
    def household_of(self, ctx: CallContext, account: Address) -> Address:
        """Return the household or service behind an account; zero if it is not registered."""
        return ctx.sponsor_of(account) or ZERO_ADDRESS

    @view(gas=METHOD)
    def keys_of(self, ctx: CallContext, household: Address) -> tuple[Bytes32, Bytes]:
        """Return (ringKey, wallet) of a member; zero and empty if it is none."""
        member = member_of(ctx.at(MEMBERSHIP), household)
        return (member.ring_key, member.wallet) if member else (bytes(32), b"")


def _require_principal(ctx: CallContext) -> bytes:
    if ctx.caller != ctx.sponsor:
        raise Revert(RevertCode.NOT_HOUSEHOLD, "only the household's own account may do this")
    return ctx.caller
