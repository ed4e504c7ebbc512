"""Which account belongs to which household, as registrations and enrolments have shown it."""

from typing import final

from market.abi import AgentRegistered, AgentRevoked, Enrolled, Event


@final
class HouseholdDirectory:
    """Grows with the chain's events."""

    def __init__(self) -> None:
        self._household: dict[bytes, bytes] = {}

    def learn(self, event: Event) -> None:
        """Take what an event says about accounts; others are ignored."""
        match event:
            case AgentRegistered(household, agent):
                self._household[agent] = household
            case AgentRevoked(_, agent):
                self._household.pop(agent, None)
            case Enrolled(_, account, household, _):
                self._household[account] = household
            case _:
                pass

    def household_of(self, account: bytes) -> bytes:
        """The household of an account; an account nobody registered is taken for a member's own."""
        return self._household.get(account, account)

    def may_sign(self, signer: bytes, account: bytes) -> bool:
        """Whether `signer` is an account of the household that `account` belongs to."""
        return self.household_of(signer) == self.household_of(account)
