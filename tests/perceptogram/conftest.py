"""A simulated participant that is calibrated and streams, for all tests of live sessions."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from configs.schema import Config
from realtime.decoding.bundle import Bundle
from realtime.sources.simulated import start_simulated
from tests.support.simulated import participant_for, session_config, simulated_bundle


@dataclass(frozen=True)
class LiveParticipant:
    """What a session with a simulated participant needs; its streams are on the air while a test module runs."""

    config: Config
    bundle: Bundle
    config_file: Path
    bundle_folder: Path


@pytest.fixture(scope="session")
def calibrated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("participant")
    config = session_config("script", stimulus={"onset_to_onset_s": 0.25, "on_s": 0.1}, render={"steps": 1})
    bundle = simulated_bundle(config, participant_for(config))
    bundle.save(folder / "bundle")
    config_file = folder / "script.yaml"
    config_file.write_text(yaml.safe_dump(config.model_dump(mode="json", exclude_unset=True)))
    return LiveParticipant(config, bundle, config_file, folder / "bundle")


@pytest.fixture(scope="module")
def live_participant(calibrated):
    child = start_simulated(participant_for(calibrated.config))
    yield calibrated
    child.stop()
