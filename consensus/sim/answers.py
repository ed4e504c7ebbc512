"""What the application answers a replica: in the state of the moment, though it is told later."""

from collections.abc import Sequence

from consensus.events import (
    Applied,
    Build,
    Built,
    NothingToBuild,
    Validate,
    Validated,
)
from consensus.messages import SealedBlock
from consensus.sim.app import GENESIS_DIGEST, App, Block, decode_block, digest_of
from consensus.sim.community import Activation
from consensus.sim.readiness import Readiness


def to_build(
    app: App, effect: Build, clock_ms: int, activation: Activation | None
) -> Built | NothingToBuild:
    """Build a block on the head, with the activation that is possible there."""
    built = app.build(effect.height, effect.parent, clock_ms, activation)
    if built is None:
        return NothingToBuild(effect.height)
    body = built.encode()
    return Built(effect.height, digest_of(body), body)


def to_validate(
    app: App, blocks: Sequence[SealedBlock], effect: Validate, clock_ms: int
) -> Validated:
    """Execute a body on the head, measured against the clock if it is fresh."""
    content = decode_block(effect.body)
    parent = blocks[-1].digest if blocks else GENESIS_DIGEST
    limit_ms = clock_ms if effect.fresh else None
    ok = content is not None and app.is_valid(content, effect.height, parent, clock_ms=limit_ms)
    return Validated(effect.digest, ok)


def to_apply(
    app: App, blocks: Sequence[SealedBlock], readiness: Readiness, block: SealedBlock
) -> Applied:
    """Say who seals the block above, and whether this process agreed to that."""
    content = content_of(block)
    if block.height != len(blocks) + 1:
        return Applied(block.height, block.digest, app.community.membership)
    activation = content.activation
    is_witnessed = activation is not None and readiness.has_said(activation)
    return Applied(block.height, block.digest, app.membership_after(content), is_witnessed)


def content_of(block: SealedBlock) -> Block:
    """What is in a decided block."""
    content = decode_block(block.body)
    assert content is not None, "a quorum has validated every block that is applied"
    return content
