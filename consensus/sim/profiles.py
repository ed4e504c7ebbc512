"""Profiles: how likely each fault is in a run; a campaign draws one of the mix for each seed."""

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Bounds from which a plan is drawn, and switches for directed campaigns."""

    name: str
    safety_ms: int = 4_000
    nonces_max: int = 40
    faulty_permille: int = 400
    """That there are faulty members at all."""
    unsound_permille: int = 200
    """Of the faulty members: that their disk fails, and they are not twins."""
    liar_permille: int = 350
    """Of the second instances."""
    flooder_permille: int = 200
    """Of the liars."""
    crash_permille: int = 600
    partition_permille: int = 600
    censor_permille: int = 400
    rotation_permille: int = 150
    split_permille: int = 50
    blackout_permille: int = 40
    few_told_permille: int = 150
    """That after healing clients reach only as many members as make the others join."""
    disrupter_permille: int = 300
    """Of the liars."""
    full_permille: int = 100
    """That disks run full, one after the other."""
    changing_permille: int = 250
    """That the member set changes."""
    upgrade_permille: int = 200
    """That new rules come into force, for which some software is too old."""
    wiped_permille: int = 700
    """Of the vote logs that are lost: that the chain is, too."""
    other_permille: int = 500
    """Of clogs, pauses, skew, loss, duplication and reordering, each."""
    is_gentle: bool = False
    """Perfect links and no faults (a baseline)."""


DEFAULT = Profile(name="default")
GENTLE = Profile(name="gentle", is_gentle=True)
CENSORED = Profile(
    name="censored", censor_permille=1000, partition_permille=200, crash_permille=200
)
TWINS = Profile(
    name="twins",
    faulty_permille=1000,
    unsound_permille=0,
    liar_permille=0,
    partition_permille=900,
    crash_permille=200,
)
LIARS = Profile(
    name="liars",
    faulty_permille=1000,
    unsound_permille=0,
    liar_permille=1000,
    censor_permille=1000,
    crash_permille=200,
)
FLOODS = Profile(
    name="floods",
    faulty_permille=1000,
    unsound_permille=0,
    liar_permille=1000,
    flooder_permille=1000,
    crash_permille=100,
    nonces_max=20,
)
CRASHES = Profile(name="crashes", faulty_permille=0, crash_permille=1000)
PARTITIONS = Profile(
    name="partitions", faulty_permille=0, partition_permille=1000, crash_permille=100
)
DISKS = Profile(name="disks", faulty_permille=1000, unsound_permille=1000, crash_permille=800)
ROTATIONS = Profile(
    name="rotations",
    faulty_permille=100,
    rotation_permille=1000,
    censor_permille=100,
    partition_permille=100,
    crash_permille=100,
    other_permille=200,
)
SPLITS = Profile(
    name="splits",
    faulty_permille=100,
    split_permille=1000,
    censor_permille=100,
    partition_permille=100,
    crash_permille=100,
    other_permille=200,
)
BLACKOUTS = Profile(
    name="blackouts",
    faulty_permille=0,
    blackout_permille=1000,
    censor_permille=0,
    partition_permille=200,
    crash_permille=200,
)
FEW_TOLD = Profile(
    name="few_told", few_told_permille=1000, faulty_permille=200, partition_permille=300
)
MUTATIONS = Profile(
    name="mutations",
    faulty_permille=1000,
    unsound_permille=0,
    liar_permille=1000,
    flooder_permille=0,
    disrupter_permille=1000,
    crash_permille=200,
)
FULL_DISKS = Profile(name="full_disks", full_permille=1000, faulty_permille=200)
MEMBERS = Profile(
    name="members",
    changing_permille=1000,
    crash_permille=400,
    partition_permille=300,
    censor_permille=200,
    other_permille=300,
)
UPGRADES = Profile(
    name="upgrades",
    upgrade_permille=1000,
    changing_permille=400,
    crash_permille=400,
    partition_permille=300,
    censor_permille=200,
    other_permille=300,
)
MIX = (
    *(DEFAULT,) * 8,
    MUTATIONS,
    FULL_DISKS,
    MEMBERS,
    MEMBERS,
    CENSORED,
    TWINS,
    LIARS,
    FLOODS,
    CRASHES,
    PARTITIONS,
    DISKS,
    ROTATIONS,
    SPLITS,
    BLACKOUTS,
    FEW_TOLD,
    UPGRADES,
)
"""From which each seed of the plain campaign draws one."""
PROFILES = {profile.name: profile for profile in (*MIX, GENTLE)}
