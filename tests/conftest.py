"""LSL on loopback only, under a session id of its own: the suite neither sends nor hears anything off the machine."""

import os
import tempfile
import uuid
from pathlib import Path

import pytest

from realtime import lsl_config

# Set on import, before any test module can touch liblsl; every process the suite starts inherits it.
_folder = tempfile.TemporaryDirectory(prefix="perceptogram-tests-")
lsl_config.use(lsl_config.loopback(f"tests-{os.getpid()}-{uuid.uuid4().hex}"), Path(_folder.name) / "lsl_api.cfg")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real recordings, which lie beside the project and not in it."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real recordings (../shared/data) are not here")
    return folder
