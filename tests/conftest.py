"""LSL on loopback only, under a session id of its own: the suite neither sends nor hears anything off the machine."""

import os
import signal
import tempfile
import uuid
from pathlib import Path

import pytest
from hypothesis import settings

from realtime.processes.blas_threads import wait_passively
from realtime.sources import lsl_config

wait_passively()  # before anything loads OpenMP
if "PYTEST_XDIST_WORKER" in os.environ:  # more workers than cores: threads of each would wait for one another
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
os.environ["COLUMNS"] = "200"  # whatever the terminal of who runs the tests; a console keeps what it finds on import

pytest_plugins = [
    "tests.support.browser",
    "tests.support.session_folder",
    "tests.support.mosquitto",
    "tests.support.tiers",
    "tests.support.virtual_screen",
]

# A busy machine may take any time over one example; what fifty do not find, those of the next run may.
settings.register_profile("tests", deadline=None, max_examples=50)
settings.load_profile("tests")


def pytest_configure(config):
    """Hide every GPU, from the processes that tests start too: on a machine with a card the suite tests the same.

    The tests that are marked for a GPU have a run of their own: ``pytest -m gpu``.
    """
    if config.option.markexpr != "gpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


# In the background of a shell script nothing hears Ctrl-C, nor would the programs that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

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
