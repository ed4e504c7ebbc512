"""Who plays an instance of a run: the real replica, or a liar in its place."""

import random
from typing import TYPE_CHECKING

from consensus.certificates import Head
from consensus.membership import MemberIndex
from consensus.replica import Replica
from consensus.sim.app import GENESIS_DIGEST, digest_of
from consensus.sim.liar import Liar
from consensus.vote_log import Record

if TYPE_CHECKING:
    from consensus.sim.cluster import Cluster


def cast_member(
    cluster: "Cluster", index: int, head: Head, recovered: tuple[Record, ...]
) -> Replica | Liar:
    """Start instance `index` at a durable head with the records of its vote log."""
    plan, member = cluster.plan, MemberIndex(cluster.plan.identities[index])
    keyring = cluster.keys.keyring(member)
    if index in plan.liars:
        return Liar(
            random.Random(plan.dice + index),
            me=member,
            keyring=keyring,
            domain=cluster.domain,
            membership=cluster.membership,
            head=head,
            fired=cluster.fired,
            is_flooder=index in plan.flooders,
            is_disrupter=index in plan.disrupters,
        )
    return Replica(
        config=cluster.config,
        genesis_hash=GENESIS_DIGEST,
        membership=cluster.membership,
        head=head,
        keyring=keyring,
        recovered=recovered,
        digest_of=digest_of,
    )
