"""Single looks at new pictures by the simulated participant: our map and the one by squared error."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from calibration.data.targets import make_targets
from calibration.model.choosing import MapChoice, said
from calibration.model.examples import Examples, Layout
from calibration.model.linear_model import fit_map
from calibration.scores.retrieval import Retrieval, retrieve
from calibration.statistics import mean_interval
from configs.schema import load_config
from realtime.epoching.epochs import Closed
from realtime.epoching.pipeline import Pipeline
from realtime.sources.simulation.background import BackgroundSettings
from realtime.sources.simulation.offline import OfflineParticipant
from realtime.sources.simulation.participant import SimulationSettings
from stimuli.pictures import choose_pictures, open_pictures

SEED = 0
N_NEW = 200
EIGHT = ("O1", "Oz", "O2", "P3", "Pz", "P4", "P7", "P8")


@dataclass(frozen=True)
class Simulated:
    """How many trials are learned from, and what the participant's EEG is."""

    n_trials: int
    about: str = "as in the demo"
    eeg: SimulationSettings = field(default_factory=lambda: SimulationSettings(seed=SEED))

    @property
    def name(self) -> str:
        """As it stands in tables."""
        return f"simulated participant, {self.about}, {self.n_trials} trials"


def _eeg(**levels: float) -> SimulationSettings:
    return SimulationSettings(seed=SEED, background=BackgroundSettings(**levels))


CASES = (
    Simulated(450),
    Simulated(450, "white noise", _eeg(pink_uv=0.0, alpha_uv=0.0, blink_uv=0.0, sensor_uv=12.0)),
    Simulated(450, "strong alpha", _eeg(alpha_uv=20.0)),
    Simulated(450, "eight electrodes", SimulationSettings(seed=SEED, channels=EIGHT)),
    Simulated(1500),
    Simulated(4500),
)
"""The demo's participant after 1.5, 5 and 15 minutes, and 1.5 minutes with other noise or fewer electrodes."""


def simulated(case: Simulated) -> dict[str, Any]:
    """Return the scores of single looks at 200 new pictures."""
    config = load_config("demo")
    known = open_pictures(config.pictures, "calibration").names
    new = choose_pictures(open_pictures(config.pictures, "test"), N_NEW, SEED)
    rng = np.random.default_rng(SEED)
    learned = np.concatenate([rng.permutation(known) for _ in range(-(-case.n_trials // len(known)))])[: case.n_trials]
    shown = [*learned.tolist(), *new]
    source = OfflineParticipant(
        open_pictures(config.pictures, "all"),
        shown,
        config.stimulus.onset_to_onset_s,
        case.eeg,
    )
    pipeline = Pipeline(config, source.spec)
    events = [event for item in source.events() for event in pipeline.push(item)] + list(pipeline.finish())
    epochs = [event.epoch for event in events if isinstance(event, Closed)]
    samples = np.array([epoch.samples for epoch in epochs], dtype=np.float32)
    names = np.array([epoch.marker.picture for epoch in epochs])
    targets = make_targets(config, names)
    taught = ~np.isin(names, new)
    gallery = targets.scaled_by(names[taught]).gallery
    own = np.array([gallery.numbers[name] for name in names[~taught]])
    examples = Examples(samples, targets.of(names), names, names, np.ones(len(names), dtype=np.bool_)).take(taught)
    layout = Layout.of(pipeline.times_s, config.window.start_s, config.window.baseline_s)
    scores: dict[str, Retrieval] = {}
    choices: list[MapChoice] = []
    for choose in ("error", "identification"):
        fitted = fit_map(examples, layout, config.fit.model_copy(update={"choose": choose}))
        choices += [] if fitted.choice is None else [fitted.choice]
        predicted, together = fitted.map.predict(samples[~taught]), np.zeros_like(own)
        compared = replace(gallery, likelihood=fitted.comparison.likelihood)
        scores[choose] = retrieve(predicted, own, together, compared)
        if choose == "identification":
            by_angle = retrieve(predicted, own, together, gallery)
            compared_by = fitted.comparison.form
    ours, today = scores["identification"], scores["error"]
    low, high = mean_interval(ours.two_way, own, SEED)
    return {
        "name": case.name,
        "n_trials": case.n_trials,
        "two_way": float(ours.two_way.mean()),
        "low": low,
        "high": high,
        "top1": float(np.mean(ours.rank < 1)),
        "top20": float(np.mean(ours.rank < 20)),
        "before_onset": None,
        "today": float(today.two_way.mean()),
        "today_top1": float(np.mean(today.rank < 1)),
        "compared": compared_by,
        "by_angle": float(by_angle.two_way.mean()),
        "by_angle_top1": float(np.mean(by_angle.rank < 1)),
        "peers": {},
        "curve": {},
        "chosen": said(choices),
    }
