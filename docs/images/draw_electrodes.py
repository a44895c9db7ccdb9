"""Draw the figures of docs/electrodes.md from a simulated participant who sees 300 drawn pictures three times each.

python docs/images/draw_electrodes.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from saving import save_small

from calibration.data.targets import make_targets
from calibration.data.trials import Trials
from calibration.maps.attributes import measure_attributes
from calibration.report.electrode_page import write_electrode_page
from configs.schema import Config, FitSettings, PictureSettings, WindowSettings
from realtime.sources.base import StreamSpec
from realtime.sources.simulation.participant import SimulationSettings, simulate_recording
from stimuli.pictures import choose_pictures, open_pictures

HERE = Path(__file__).parent
FIGURES = (
    "electrodes-alone",
    "electrodes-preference",
    "electrodes-choice",
    "hierarchy-decoding",
    "hierarchy-perturbed",
)
CONFIG = Config(window=WindowSettings(stop_s=0.5, baseline_s=(-0.2, 0.0)), fit=FitSettings(permutations=200))
EVERY_S = 0.4
REPEATS = 3
PICTURES = 300


def simulated_trials() -> Trials:
    """Return the trials of one session, cut from unfiltered EEG."""
    settings = SimulationSettings()
    pictures = open_pictures(PictureSettings(), "calibration")
    rng = np.random.default_rng(0)
    names = choose_pictures(pictures, PICTURES, seed=0)
    order = [str(name) for _ in range(REPEATS) for name in rng.permutation(names)]
    onsets = [(name, 1 + EVERY_S * place) for place, name in enumerate(order)]
    _, samples, _ = simulate_recording(pictures, onsets, settings)
    rate_hz = settings.rate_hz
    window = np.arange(round(-0.2 * rate_hz), round(0.5 * rate_hz))
    starts = np.array([round(onset * rate_hz) for _, onset in onsets])
    return Trials(
        samples=samples[starts[:, None] + window],
        names=np.array(order),
        onsets=starts / rate_hz,
        recordings=np.zeros(len(order), np.int64),
        times_s=window / rate_hz,
        rate_hz=rate_hz,
        spec=StreamSpec("SimulatedEEG", "EEG", "simulated", rate_hz, settings.channels),
        flags=((),) * len(order),
        simulated=True,
    )


def main() -> None:
    """Draw everything into a temporary folder and keep what the documentation shows."""
    trials = simulated_trials()
    targets = make_targets(CONFIG, trials.names)
    attributes = measure_attributes(open_pictures(CONFIG.pictures), trials.names)
    with tempfile.TemporaryDirectory() as folder:
        write_electrode_page(trials, targets, attributes, CONFIG, Path(folder))
        for name in FIGURES:
            save_small((Path(folder) / f"{name}.png").read_bytes(), HERE / f"{name}.png")


if __name__ == "__main__":
    main()
