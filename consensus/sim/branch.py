"""Copies of a cluster under way, and names for its states: for searches that branch.

Two clusters whose states have one name behave alike from here on. Left out of a name is what
decides nothing: caches of proofs that verified, quotas far from spent, when things are repeated.
"""

from collections.abc import Callable
from enum import Enum
from typing import Any, TypeVar

from consensus.certificates import Head, PreparedCertificate
from consensus.events import Applied, Built, Validated
from consensus.messages import (
    BodyReply,
    Commit,
    GetBody,
    NewView,
    Prepare,
    PrePrepare,
    ViewChange,
)
from consensus.replica import Replica
from consensus.sim.instance import Instance
from consensus.sim.keys import ClusterKeys, StandInKeyring
from consensus.state import Choice, Decision, State, Verdict

T = TypeVar("T")

_SHARED = (ClusterKeys, StandInKeyring)
"""Never change, though they are no frozen values."""
_is_shared_type: dict[type, bool] = {}


def fork(root: T) -> T:
    """Copy everything that can change below `root`; share what cannot."""
    found: T = _fork(root, {})
    return found


def _fork(item: Any, memo: dict[int, Any]) -> Any:
    kind = type(item)
    shared = _is_shared_type.get(kind)
    if shared is None:
        shared = _is_shared_type[kind] = _never_changes(kind)
    if shared:
        return item
    known = memo.get(id(item))
    if known is not None:
        return known
    if kind is list:
        found = memo[id(item)] = []
        found.extend([_fork(inner, memo) for inner in item])
        return found
    if kind is set:
        return memo.setdefault(id(item), set(item))
    if issubclass(kind, dict):
        copy: Any = kind()
        memo[id(item)] = copy
        for key, inner in item.items():
            copy[key] = _fork(inner, memo)
        return copy
    return _fork_object(item, kind, memo)


def _fork_object(item: Any, kind: type, memo: dict[int, Any]) -> Any:
    copy: Any = object.__new__(kind)
    memo[id(item)] = copy
    if hasattr(item, "__dict__"):
        for name, inner in vars(item).items():
            copy.__dict__[name] = _fork(inner, memo)
    for base in kind.__mro__:
        for name in getattr(base, "__slots__", ()):
            if hasattr(item, name):
                object.__setattr__(copy, name, _fork(getattr(item, name), memo))
    return copy


def _never_changes(kind: type) -> bool:
    if kind in (list, set) or issubclass(kind, dict):
        return False
    parameters = getattr(kind, "__dataclass_params__", None)
    return (
        kind.__module__ == "builtins"  # Tuples hold values only.
        or issubclass(kind, (Enum, *_SHARED))
        or (parameters is not None and parameters.frozen)
        or issubclass(kind, Callable)  # type: ignore[arg-type]  # an ABC, and works at run time
    )


def name_of(instance: Instance) -> list[Any]:
    """All that the further course of an instance depends on, as plain data.

    Void is what was said in views below the one asked for, save COMMITs: nobody votes there
    again, and such messages no longer arrive. Which q members signed a proof does not matter.
    """
    replica = instance.replica
    assert isinstance(replica, Replica)
    s: State = vars(replica)["_s"]
    is_in_view = s.asked == s.view
    return [
        [block.digest for block in instance.disk.blocks],
        list(instance.app.pending),
        [value_of(answer) for answer, _ in instance.outstanding],
        [s.asked, is_in_view, s.is_learner, s.is_pending, s.is_building, s.must_reach],
        [s.forgotten_term, s.halted, s.claimed_max, s.timers.failed_views],
        [s.timers.commit_latency_ms, s.timers.progress_deadline, s.timers.view_deadline],
        sorted(value_of(m) for m in s.pre_prepares.values()),
        [value_of(m) for m in s.prepares if m is not None and m.slot.view >= s.asked],
        [value_of(m) for m in s.commits],
        [value_of(m) for m in s.view_changes if m is not None and m.slot.view >= s.asked],
        [value_of(m) for m in s.stash.values()],
        value_of(s.certificate),
        value_of(s.decision),
        value_of(s.choice) if is_in_view else None,
        sorted((d, v.value) for d, v in s.verdicts.items() if v is not Verdict.EXECUTED),
        [s.validating, None if s.fetched is None else s.fetched[0]],
        [peer.claimed_height for peer in s.peers],
    ]


def value_of(item: Any) -> Any:
    """What a message or a proof says, without the signatures that prove it."""
    match item:
        case PrePrepare() | Prepare() | Commit():
            return [int(item.TAG), item.sender, item.slot.view, item.slot.height, item.digest]
        case ViewChange():
            proof = [value_of(item.head), value_of(item.prepared)]
            return [int(item.TAG), item.sender, item.slot.view, *proof]
        case NewView():
            return [int(item.TAG), item.slot.view, [value_of(m) for m in item.view_changes]]
        case PreparedCertificate():
            return [item.slot.view, item.slot.height, item.digest]
        case Head() | Decision():
            return [item.digest, None if item.seal is None else item.seal.view]
        case Choice():
            return [value_of(item.head), value_of(item.certificate)]
        case GetBody() | BodyReply() | Built() | Validated() | Applied():
            return [type(item).__name__, item.digest]
        case _:
            return None if item is None else type(item).__name__
