"""Transfer between simulated people: the same kinds of response, seen through other heads, other noise and another cap.

Every person mixes the electrodes by a matrix of their own, and every day adds a smaller one, as a cap that sits
otherwise does. The population is small, because each person costs a fit; it says so in its rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.data.targets import Targets, make_targets
from calibration.model.earlier import Earlier
from calibration.model.examples import Examples, Layout
from calibration.model.from_sources import map_of_sources
from calibration.model.linear_model import fit_map
from calibration.model.remembering import remember
from calibration.scores.retrieval import retrieve
from calibration.statistics import mean_interval
from configs.schema import Config, load_config
from realtime.decoding.memory import Memory
from realtime.epoching.epochs import Closed
from realtime.epoching.pipeline import Pipeline
from realtime.sources.simulation.offline import OfflineParticipant
from realtime.sources.simulation.participant import SimulationSettings
from stimuli.pictures import choose_pictures, open_pictures

ELECTRODES = ("Fz", "Cz", "P3", "P4", "Pz", "P7", "P8", "PO3", "PO4", "POz", "PO7", "PO8", "O1", "O2", "Oz", "Iz")
PEOPLE, OTHERS = 2, 4
MINUTES = (0.0, 1.0, 3.0, 8.0)
EARLIER_MINUTES = 3.0
PERSON, DAY = 0.25, 0.1
"""Size of the matrices that a person's head and a day's cap add to that of everybody."""
SEED = 0

Array = NDArray[np.float64]


def simulated(people: int = PEOPLE) -> Iterator[dict[str, Any]]:
    """Yield the rows of each person: alone, from an earlier day, from other people, from both."""
    config = load_config("demo")
    others = tuple(Earlier(f"person {n}", _memory(config, 100 + n, 0)) for n in range(OTHERS))
    for person in range(people):
        own = Earlier("earlier day", _memory(config, person, 0))
        modes = {
            "within session": (), "cross session": (own,), "cross subject": others,
            "cross session and subject": (own, *others),
        }  # fmt: skip
        most = _trials(config, max(MINUTES))
        known = open_pictures(config.pictures, "calibration").names
        new = choose_pictures(open_pictures(config.pictures, "test"), 200, SEED)
        learned, samples, targets, layout = _day(config, person, 1, most, tuple(new))
        test = np.isin(learned, new)
        alone: dict[float, float] = {}
        for minutes in MINUTES:
            first = np.flatnonzero(~test)[: _trials(config, minutes)]
            for mode, earlier in modes.items():
                if not (minutes or earlier) or (minutes == max(MINUTES) and earlier):
                    continue
                made = (
                    fit_map(_examples(learned, samples, targets, first), layout, config.fit, earlier).map
                    if minutes
                    else map_of_sources(earlier, layout, config.fit)
                )
                gallery = targets.scaled_by(np.array(known)).gallery
                shown = np.array([gallery.numbers[name] for name in learned[test]])
                scores = retrieve(made.predict(samples[test]), shown, np.zeros_like(shown), gallery).two_way
                low, high = mean_interval(scores, shown, SEED)
                if not earlier:
                    alone[minutes] = float(scores.mean())
                name = f"simulated person {person + 1} of {people}, 16 electrodes, two-way"
                row = {"set": name, "mode": mode, "trials": len(first), "auc": float(scores.mean())}
                yield row | {"low": low, "high": high, "alone": alone.get(minutes), "minutes": minutes}


def _trials(config: Config, minutes: float) -> int:
    return round(60 * minutes / config.stimulus.onset_to_onset_s)


def _day(
    config: Config, person: int, day: int, n_trials: int, new: tuple[str, ...] = ()
) -> tuple[NDArray[np.str_], NDArray[np.float32], Targets, Layout]:
    """Return what was shown, the epochs, the targets and the layout of a person's day; `new` pictures come last."""
    rng = np.random.default_rng((SEED, person, day))
    known = open_pictures(config.pictures, "calibration").names
    order = np.concatenate([rng.permutation(known) for _ in range(-(-n_trials // len(known)))])[:n_trials]
    settings = SimulationSettings(seed=person, session=day, channels=ELECTRODES)
    pictures = open_pictures(config.pictures, "all")
    source = OfflineParticipant(pictures, [*order.tolist(), *new], config.stimulus.onset_to_onset_s, settings)
    pipeline = Pipeline(config, source.spec)
    events = [event for item in source.events() for event in pipeline.push(item)] + list(pipeline.finish())
    epochs = [event.epoch for event in events if isinstance(event, Closed)]
    names = np.array([epoch.marker.picture for epoch in epochs])
    mixing = np.eye(len(ELECTRODES)) + _mixing(person, -1, PERSON) + _mixing(person, day, DAY)
    samples = np.array([epoch.samples for epoch in epochs], dtype=np.float32) @ mixing.astype(np.float32)
    layout = Layout.of(pipeline.times_s, config.window.start_s, config.window.baseline_s)
    return names, samples, make_targets(config, names), layout


def _mixing(person: int, day: int, size: float) -> Array:
    rng = np.random.default_rng((SEED, person, day + 1, 1))
    return size * rng.standard_normal((len(ELECTRODES), len(ELECTRODES))) / np.sqrt(len(ELECTRODES))


def _examples(
    names: NDArray[np.str_], samples: NDArray[np.float32], targets: Targets, which: NDArray[np.int64]
) -> Examples:
    own = names[which]
    return Examples(samples[which], targets.of(own), own, own, np.ones(len(own), dtype=np.bool_))


def _memory(config: Config, person: int, day: int) -> Memory:
    names, samples, targets, layout = _day(config, person, day, _trials(config, EARLIER_MINUTES))
    examples = _examples(names, samples, targets, np.arange(len(names)))
    mapping = fit_map(examples, layout, config.fit)
    return remember(examples, np.zeros(len(names), dtype=np.int64), layout, mapping, config)
