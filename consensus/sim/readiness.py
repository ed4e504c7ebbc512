"""READYs of one process: what it says, what it has heard, and the activation they make.

As the node's own: memory of one life, so that who has said READY in it and finds its word in an
activation knows that no earlier life of its key can have voted in the epoch that begins.
"""

from typing import final

from consensus.keyring import Keyring
from consensus.sim.community import (
    READY_SPAN,
    Activation,
    Community,
    Ready,
    readies_needed,
    ready_digest,
)

TELL_MS = 100
"""Between two times at which an instance says its READYs, if anything wants them."""
RENEW_BLOCKS = READY_SPAN // 2
"""Age at which an own READY is replaced."""


@final
class Readiness:
    """Holds at most one READY for each open change and key."""

    def __init__(self) -> None:
        self._held: dict[tuple[int, int], Ready] = {}
        self._said: set[tuple[int, int]] = set()
        """Changes, and keys with which this process said READY to them."""
        self._told_ms = -TELL_MS

    def is_due(self, now_ms: int) -> bool:
        """Whether it is time to say READY, or to say it again; notes it if so."""
        if now_ms - self._told_ms < TELL_MS:
            return False
        self._told_ms = now_ms
        return True

    def hear(self, ready: Ready, community: Community) -> bool:
        """Take another's READY; whether it is new and counts."""
        keys = community.keys_after(ready.change)
        place = (ready.change, ready.key)
        known = self._held.get(place)
        if keys is None or (known is not None and known.height >= ready.height):
            return False
        if not community.is_ready(ready, keys, ready.height + 1):
            return False
        self._held[place] = ready
        return True

    def say(
        self,
        community: Community,
        own: dict[int, Keyring],
        *,
        height: int,
        is_voting: bool,
        is_level: bool,
    ) -> list[Ready]:
        """Sign what can be said now; return all own READYs that still count.

        Args:
            community: state at the head.
            own: keyrings of this process by number: the present key's, and the next one's.
            height: of the head.
            is_voting: whether the process votes in the present epoch.
            is_level: whether it knows of no block above its head.
        """
        found: list[Ready] = []
        for number in community.open:
            keys = community.keys_after(number)
            for key, keyring in own.items():
                if keys is None or keyring.public not in keys:
                    continue
                ready = self._counting(number, key, community, height)
                is_old = ready is None or ready.height <= height - RENEW_BLOCKS
                is_mine = (number, key) in self._said
                if (is_old or not is_mine) and self._may_say(
                    number, key, community, height, is_voting=is_voting, is_level=is_level
                ):
                    digest = ready_digest(number, community.membership.epoch, keys, height)
                    ready = Ready(number, key, height, keyring.sign(digest))
                    self._held[number, key] = ready
                    self._said.add((number, key))
                if ready is not None:
                    found.append(ready)
        return found

    def _may_say(
        self,
        number: int,
        key: int,
        community: Community,
        height: int,
        *,
        is_voting: bool,
        is_level: bool,
    ) -> bool:
        newcomer = community.newcomer(number)
        if newcomer is None:
            return is_voting
        if newcomer == key:
            return is_level
        # The newcomer's own READY shows that it follows; without it the change must not begin.
        return is_voting and self._counting(number, newcomer, community, height) is not None

    def _counting(self, number: int, key: int, community: Community, height: int) -> Ready | None:
        """The READY of a key that the block above `height` could carry."""
        ready, keys = self._held.get((number, key)), community.keys_after(number)
        if ready is None or keys is None or not community.is_ready(ready, keys, height + 1):
            return None
        return ready

    def activation(self, community: Community, height: int) -> Activation | None:
        """Return what the block above `height` could carry, for the oldest change."""
        for number in sorted(community.open):
            keys = community.keys_after(number)
            if keys is None or not community.is_open(number, height + 1):
                continue
            numbers = [community.charter.number(key) for key in keys]
            held = (self._counting(number, key, community, height) for key in numbers)
            readies = [ready for ready in held if ready is not None]
            newcomer, needed = community.newcomer(number), readies_needed(len(keys))
            first = sorted(readies, key=lambda ready: ready.key != newcomer)[:needed]
            is_there = newcomer is None or any(ready.key == newcomer for ready in first)
            if is_there and len(first) == needed:
                return Activation(number, tuple(sorted(first, key=lambda ready: ready.key)))
        return None

    def has_said(self, activation: Activation) -> bool:
        """Whether this process signed a READY to the change of an activation."""
        return any((activation.change, ready.key) in self._said for ready in activation.readies)
