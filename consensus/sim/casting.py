"""Who plays an instance of a run: the real replica, or a liar in its place."""

import random
from typing import TYPE_CHECKING

from consensus.certificates import Head
from consensus.membership import Height, MemberIndex
from consensus.replica import Replica
from consensus.sim.app import GENESIS_DIGEST, digest_of
from consensus.sim.liar import Liar
from consensus.vote_log import Record

if TYPE_CHECKING:
    from consensus.sim.cluster import Cluster
    from consensus.sim.instance import Instance


def cast_member(
    cluster: "Cluster", instance: "Instance", recovered: tuple[Record, ...]
) -> Replica | Liar:
    """Start an instance at its durable head with the records of its vote log."""
    plan, index, blocks = cluster.plan, instance.index, instance.disk.blocks
    genesis = Head(height=Height(0), digest=GENESIS_DIGEST, seal=None)
    head = blocks[-1].head if blocks else genesis
    membership = instance.app.community.membership
    first = membership.first_height
    keyring = cluster.keys.keyring(instance.member)
    if index in plan.liars:
        newest = cluster.epochs.newest
        liar = Liar(
            random.Random(plan.dice + index),
            me=MemberIndex(plan.identities[index]),
            keyring=keyring,
            domain=cluster.domain,
            membership=cluster.membership,
            head=head,
            fired=cluster.fired,
            is_flooder=index in plan.flooders,
            is_disrupter=index in plan.disrupters,
        )
        liar.follow(newest, cluster.epochs.domain(newest.epoch))
        return liar
    return Replica(
        config=cluster.config,
        genesis_hash=GENESIS_DIGEST,
        membership=membership,
        head=head,
        keyring=keyring,
        recovered=recovered,
        digest_of=digest_of,
        base_digest=blocks[first - 2].digest if first > 1 else GENESIS_DIGEST,
        is_log_new=instance.disk.is_unproven,
    )
