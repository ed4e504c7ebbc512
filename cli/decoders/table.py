"""The one table of all targets; `tests/cli/test_decoders.py` looks for decoders not in it."""

from typing import Final

from cli.decoders import (
    chain_targets,
    consensus_targets,
    contract_targets,
    crypto_targets,
    file_targets,
    key_targets,
    market_targets,
    node_targets,
    service_targets,
    settings_targets,
    socket_targets,
)
from cli.decoders.target import Target

TARGETS: Final[tuple[Target, ...]] = (
    *chain_targets.TARGETS,
    *consensus_targets.TARGETS,
    *crypto_targets.TARGETS,
    *key_targets.TARGETS,
    *node_targets.TARGETS,
    *settings_targets.TARGETS,
    *market_targets.TARGETS,
    *contract_targets.TARGETS,
    *file_targets.TARGETS,
    *service_targets.TARGETS,
    *socket_targets.TARGETS,
)
BY_NAME: Final = {target.name: target for target in TARGETS}
assert len(BY_NAME) == len(TARGETS), "each target has a name of its own"
