"""A script's own process stays as it was, before, while and after a live session runs in it."""

import json
import os
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import pylsl
import pytest

from stimuli.marker_outlet import MarkerOutlet
from stimuli.markers import Marker
from tests.support.lsl_amplifier import Amplifier
from tests.support.session_parts import SPEC

EVERY_S = 0.25
ROOT = Path(__file__).parents[2]

SCRIPT = """
import gc, json, os, signal, sys
import numpy, scipy.linalg, torch
from threadpoolctl import threadpool_info

numpy.ones((64, 64)) @ numpy.ones((64, 64))

def state():
    return {
        "threads": sorted((pool["internal_api"], pool["num_threads"]) for pool in threadpool_info()),
        "torch": torch.get_num_threads(),
        "switch interval": sys.getswitchinterval(),
        "frozen": gc.get_freeze_count(),
        "policy": os.sched_getscheduler(0),
        "niceness": os.getpriority(os.PRIO_PROCESS, 0),
        "signals": [str(signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)],
        "environment": dict(os.environ),
    }

def main():
    states = {"before": state()}
    import perceptogram
    states["imported"] = state()
    from tests.support.session_parts import CONFIG, bundle

    name, exclusive = sys.argv[1:]
    stream = CONFIG.stream.model_copy(update={"name": name})
    markers = CONFIG.markers.model_copy(update={"name": f"{name}-markers"})
    config = CONFIG.model_copy(update={"name": name, "stream": stream, "markers": markers})
    options = {"exclusive": True} if exclusive == "exclusive" else {}
    with perceptogram.Session(config, bundle(), render=False, **options) as session:
        for percept in session:
            states["while"] = state()
            break
    states["after"] = state()
    print(json.dumps({"runs_first": session.summary["runs_first"]} | states))

if __name__ == "__main__":
    main()
"""


@pytest.fixture
def room():
    """The name of an amplifier that sends while pictures are shown."""
    name, over = f"script-{uuid.uuid4().hex[:8]}", threading.Event()
    outlet = MarkerOutlet(f"{name}-markers", f"{name}-markers")

    def show():
        while not over.wait(EVERY_S):
            outlet.send(Marker(pylsl.local_clock(), "picture", "p0"))

    shower = threading.Thread(target=show)
    with Amplifier(name, "id", channels=SPEC.channels, marker_s=None):
        shower.start()
        yield name
        over.set()
        shower.join()
    outlet.close()


def states(name, tmp_path, exclusive):
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, str(tmp_path / "script.py"), name, exclusive]
    path = {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env={**os.environ, **path})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_session_leaves_the_process_of_its_script_alone(room, tmp_path):
    told = states(room, tmp_path, "shared")
    for when in ("imported", "while", "after"):
        assert told[when] == told["before"], when
    assert told["runs_first"] is False


def test_what_an_exclusive_session_asks_for_it_gives_back(room, tmp_path):
    told = states(room, tmp_path, "exclusive")
    assert {threads for kind, threads in told["while"]["threads"] if kind == "openblas"} == {1}
    assert told["while"]["switch interval"] < told["before"]["switch interval"]
    assert told["while"]["frozen"] > 0
    assert told["after"] == told["before"]
