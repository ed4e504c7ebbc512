import os
from pathlib import Path

import pytest

from crypto import curve

BACKENDS = [backend for backend in ("native", "sodium") if curve.is_available(backend)]


@pytest.fixture
def vectors():
    """The folder of published test vectors, or a skip where this machine has none."""
    folder = os.environ.get("HEARTH_VECTORS")
    if not folder:
        pytest.skip("HEARTH_VECTORS does not name a folder of published test vectors")
    return Path(folder)


@pytest.fixture(scope="module", params=BACKENDS)
def backend(request):
    """Each backend that this installation has, in turn; serves the whole module."""
    with curve.using(request.param):
        yield request.param
