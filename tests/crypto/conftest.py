import os
from pathlib import Path

import pytest


@pytest.fixture
def vectors():
    """The folder of published test vectors, or a skip where this machine has none."""
    folder = os.environ.get("HEARTH_VECTORS")
    if not folder:
        pytest.skip("HEARTH_VECTORS does not name a folder of published test vectors")
    return Path(folder)
