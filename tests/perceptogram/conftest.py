"""A simulated participant that is calibrated and streams, for all tests of live sessions."""

import fcntl
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from configs.schema import Config
from realtime.decoding.bundle import Bundle, load_bundle
from realtime.sources.simulated import start_simulated
from tests.support.simulated import SMALL, participant_for, session_config, simulated_bundle


@dataclass(frozen=True)
class LiveParticipant:
    """What a session with a simulated participant needs; its streams are on the air while a test module runs."""

    config: Config
    bundle: Bundle
    config_file: Path
    bundle_folder: Path


@pytest.fixture(scope="session")
def calibrated(tmp_path_factory):
    """Fitted once in a run: the first worker that needs it fits it for all."""
    folder = tmp_path_factory.mktemp("participant")
    ours = tmp_path_factory.getbasetemp()
    shared = ours.parent if "PYTEST_XDIST_WORKER" in os.environ else ours
    pace = {"onset_to_onset_s": 0.25, "on_s": 0.1}
    config = session_config("script", stimulus=pace, render={"steps": 1}, **SMALL)
    with (shared / "participant.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / "fitted").exists():
            simulated_bundle(config, participant_for(config)).save(shared / "fitted")
    shutil.copytree(shared / "fitted", folder / "bundle")
    config_file = folder / "script.yaml"
    config_file.write_text(yaml.safe_dump(config.model_dump(mode="json", exclude_unset=True)))
    return LiveParticipant(config, load_bundle(folder / "bundle"), config_file, folder / "bundle")


@pytest.fixture(scope="module")
def live_participant(calibrated):
    child = start_simulated(participant_for(calibrated.config))
    yield calibrated
    child.stop()
