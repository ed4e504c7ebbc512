"""Counting votes: when a proposal is prepared, and when a block is decided. Pure."""

from collections.abc import Sequence

from consensus.certificates import PreparedCertificate, Seal
from consensus.membership import MemberIndex, View
from consensus.messages import Commit, Prepare, PrePrepare
from consensus.wire import signed_core
from crypto.hashing import Digest


def prepared_certificate(
    pre_prepare: PrePrepare, prepares: Sequence[Prepare | None], q: int
) -> PreparedCertificate | None:
    """PRE-PREPARE and q - 1 matching PREPAREs of members other than the primary (rule 2).

    Matching: the very slot, view included, and the very digest. None if there are fewer.
    """
    matching = [
        (vote.sender, vote.signature)
        for vote in prepares
        if vote is not None
        and vote.slot == pre_prepare.slot
        and vote.digest == pre_prepare.digest
        and vote.sender != pre_prepare.sender
    ]
    if len(matching) < q - 1:
        return None
    return PreparedCertificate(
        pre_prepare=signed_core(pre_prepare), prepares=tuple(matching[: q - 1])
    )


def decided_by_commits(commits: Sequence[Commit | None], q: int) -> tuple[Digest, Seal] | None:
    """The digest that q COMMITs of ONE view agree on, with its seal, or None.

    Any view of the term will do (rule 10); COMMITs of two views never add up, even for one
    digest, because the second view may rest on a choice that the first one's votes forbid.
    """
    groups: dict[tuple[View, Digest], list[tuple[MemberIndex, bytes]]] = {}
    for vote in commits:
        if vote is None:
            continue
        group = groups.setdefault((vote.slot.view, vote.digest), [])
        group.append((vote.sender, vote.signature))
        if len(group) == q:
            return vote.digest, Seal(view=vote.slot.view, signatures=tuple(group))
    return None
