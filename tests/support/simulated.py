"""A calibrated simulated participant without the wait: recorded offline, fitted, then live under the same name."""

from pathlib import Path

import numpy as np
import yaml

from calibration.data.reading import Collector
from calibration.data.targets import make_targets
from calibration.fit import fit_trials
from configs.schema import Config, load_config
from realtime.decoding.bundle import Bundle
from realtime.sources.simulated import SimulatedStream
from realtime.sources.simulation.offline import OfflineParticipant
from realtime.sources.simulation.participant import stand_in
from stimuli.pictures import choose_pictures, open_pictures

EVERY_S = 0.2
QUICK = {"permutations": 0, "choose": "error"}
"""How a map is fitted where the test is not about its scores."""
SMALL = {
    "stream": {"channels": ["P7", "P3", "Pz", "P4", "P8", "PO7", "POz", "PO8", "O1", "Oz", "O2"]},
    "filters": {"rate_hz": 50.0, "lowpass_hz": 15.0},
}
"""A cap that is soon fitted, recorded and decoded, for tests that are not about the cap."""


def session_config(name: str, **sections: dict) -> Config:
    """The demo's settings under names of the test's own, with a pace that leaves time between pictures."""
    demo = load_config("demo")
    content = demo.model_dump(exclude_unset=True) | {"name": name}
    content["stream"] = {"name": f"{name} EEG"}
    content["markers"] = {"name": f"{name} markers"}
    for section, values in sections.items():
        content[section] = content.get(section, {}) | values
    return Config.model_validate(content)


def quick_demo(folder: Path, **sections: dict) -> Path:
    """Write the demo's settings with a `QUICK` fit, and `sections` over it, into `folder`, and return the file."""
    file = folder / "quick.yaml"
    content = load_config("demo").model_dump(mode="json", exclude_unset=True)
    for section, values in ({"fit": QUICK} | sections).items():
        content[section] |= values
    file.write_text(yaml.safe_dump(content))
    return file


def participant_for(config: Config, snr: float = 1.0) -> SimulatedStream:
    """The simulated participant that a session with `config` finds."""
    return SimulatedStream(
        stand_in(config, seed=0, snr=snr),
        config.pictures,
        config.markers,
        name=config.stream.name or "",
        source_id=f"{config.name}-eeg",
    )


def offline_trials(config: Config, stream: SimulatedStream, names: list[str]):
    """Trials of a recording in which `names` are shown one after another."""
    shown = open_pictures(config.pictures)
    source = OfflineParticipant(shown, names, EVERY_S, stream.participant, stream.name, stream.source_id)
    collector = Collector(config, source.spec)
    for item in source.events():
        list(collector.push(item))
    return collector.take()


def simulated_bundle(config: Config, stream: SimulatedStream, n_pictures: int = 240) -> Bundle:
    """A bundle fitted on an offline recording of the participant, with `QUICK` settings."""
    config = config.model_copy(update={"fit": config.fit.model_copy(update=QUICK)})
    known = open_pictures(config.pictures, "calibration")
    names = list(choose_pictures(known, n_pictures, seed=0))
    trials = offline_trials(config, stream, names)
    return fit_trials(trials, make_targets(config, np.asarray(trials.names)), config).bundle
