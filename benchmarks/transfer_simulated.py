"""Transfer between simulated people: the same kinds of response, seen through other heads, other noise and another cap.

Every person mixes the electrodes by a matrix of their own, and every day adds a smaller one, as a cap that sits
otherwise does; how loud each part of the background is belongs to the person. What a concept evokes is the same in all,
but for where on the head it is seen. Each of the twenty begins with the bundles of an earlier day and of the next four.

The demonstration's person is read within minutes, and after eight nothing is left to gain. Here answers are a fifth as
large: after seven minutes of photographs, published people's painted pictures are told from others in 0.61 of pairs,
five looks averaged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.data.targets import Targets, make_targets
from calibration.model.earlier import Earlier
from calibration.model.examples import Examples, Layout
from calibration.model.folding import LinearMap
from calibration.model.from_sources import map_of_sources
from calibration.model.linear_model import fit_map
from calibration.model.remembering import remember
from calibration.scores.retrieval import retrieve
from calibration.statistics import mean_interval
from configs.schema import Config, load_config
from realtime.decoding.alignment import Calibrated, align, mean_covariance
from realtime.decoding.linear_decoder import WindowWeights
from realtime.decoding.memory import Memory
from realtime.epoching.epochs import Closed
from realtime.epoching.pipeline import Pipeline
from realtime.sources.simulation.background import BackgroundSettings
from realtime.sources.simulation.offline import OfflineParticipant
from realtime.sources.simulation.participant import SimulationSettings
from stimuli.picture_set import PictureSet
from stimuli.pictures import choose_pictures, open_pictures

ELECTRODES = ("Fz", "Cz", "P3", "P4", "Pz", "P7", "P8", "PO3", "PO4", "POz", "PO7", "PO8", "O1", "O2", "Oz", "Iz")
PEOPLE, OTHERS = 20, 4
MINUTES = (0.0, 1.0, 3.0, 8.0)
EARLIER_MINUTES = 3.0
PERSON, DAY, LOUDNESS = 0.25, 0.1, 0.3
"""Size of the matrices that a head and a day's cap add to that of everybody; spread of a background's log level."""
SNR = 0.2
"""Size of what pictures evoke, where the demonstration's is 1."""
N_NEW = 200
FIRST_WINDOWS = 50
"""Windows by which a session is aligned."""
SEED = 0

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Day:
    """A person's day.

    Attributes
    ----------
    names
        ``[trials]``: what was shown.
    samples
        float32 ``[trials, times, channels]``.
    targets
        What each picture should decode to.
    layout
        Where the window lies.
    """

    names: NDArray[np.str_]
    samples: NDArray[np.float32]
    targets: Targets
    layout: Layout

    def examples(self, which: NDArray[np.int64]) -> Examples:
        """Return some of the trials, to learn from."""
        own = self.names[which]
        return Examples(self.samples[which], self.targets.of(own), own, own, np.ones(len(own), dtype=np.bool_))


def person_rows(person: int) -> Iterator[dict[str, Any]]:
    """Yield the rows of a person: alone, from an earlier day, from other people, from both."""
    config = load_config("demo")
    own = Earlier("own", _remembered(person))
    others = tuple(Earlier(str(k), _remembered((person + k) % PEOPLE), own=False) for k in range(1, OTHERS + 1))
    modes: dict[str, tuple[Earlier, ...]] = {
        "within session": (), "cross session": (own,), "cross subject": others,
        "cross session and subject": (own, *others),
    }  # fmt: skip
    known = open_pictures(config.pictures, "calibration").names
    new = choose_pictures(open_pictures(config.pictures, "test"), N_NEW, SEED)
    day = _day(config, person, 1, _trials(config, max(MINUTES)), tuple(new))
    test = np.isin(day.names, new)
    session, gallery = day.samples[test], day.targets.scaled_by(np.array(known)).gallery
    shown = np.array([gallery.numbers[name] for name in day.names[test]])
    alone: dict[float, float] = {}
    for minutes in MINUTES:
        first = np.flatnonzero(~test)[: _trials(config, minutes)]
        for mode, earlier in modes.items():
            if not (minutes or earlier) or (minutes == max(MINUTES) and earlier):
                continue
            if minutes:
                made = fit_map(day.examples(first), day.layout, config.fit, earlier).map
                later = aligned_to(made, day.samples[first], session[:FIRST_WINDOWS])
            else:
                made = map_of_sources(earlier, day.layout, config.fit)
                later = map_of_sources(earlier, day.layout, config.fit, session[:FIRST_WINDOWS, day.layout.start :])
            predicted = {"": made.predict(session)}
            behind = later.predict(session[FIRST_WINDOWS:])
            predicted[", EEG aligned"] = np.concatenate([predicted[""][:FIRST_WINDOWS], behind])
            for told, each in predicted.items():
                scores = retrieve(each, shown, np.zeros_like(shown), gallery).two_way
                low, high = mean_interval(scores, shown, SEED)
                if not earlier and not told:
                    alone[minutes] = float(scores.mean())
                name = f"simulated person {person + 1}"
                row = {"set": name, "mode": mode + told, "trials": len(first), "auc": float(scores.mean())}
                yield row | {"low": low, "high": high, "alone": alone.get(minutes), "minutes": minutes}


def aligned_to(made: LinearMap, taught: NDArray[np.float32], windows: NDArray[np.float32]) -> LinearMap:
    """Return a map aligned to a session.

    Parameters
    ----------
    made
        The map.
    taught, windows
        ``[n, times, channels]``: what it was fitted on, and the session's first, whatever was shown in them.
    """
    level = taught.mean(axis=0, dtype=np.float64)
    nowhere = np.zeros(len(made.bias))
    calibrated = Calibrated(level, mean_covariance(taught, level), nowhere, nowhere)
    plain = WindowWeights.of(made.weights, made.bias)
    folded = align(windows, plain, calibrated, eeg=True, embeddings=False).folded(plain)
    return replace(made, weights=folded.weights.reshape(made.weights.shape), bias=folded.bias)


def _trials(config: Config, minutes: float) -> int:
    return round(60 * minutes / config.stimulus.onset_to_onset_s)


def _day(config: Config, person: int, day: int, n_trials: int, new: tuple[str, ...] = ()) -> Day:
    """Return a person's day; `new` pictures come last."""
    rng = np.random.default_rng((SEED, person, day))
    known = open_pictures(config.pictures, "calibration").names
    order = np.concatenate([rng.permutation(known) for _ in range(-(-n_trials // len(known)))])[:n_trials]
    loud = np.exp(LOUDNESS * np.random.default_rng((SEED, person, 2)).standard_normal(4))
    usual = BackgroundSettings()
    background = BackgroundSettings(
        pink_uv=usual.pink_uv * loud[0],
        alpha_uv=usual.alpha_uv * loud[1],
        blink_uv=usual.blink_uv * loud[2],
        sensor_uv=usual.sensor_uv * loud[3],
    )
    settings = SimulationSettings(SEED, 10 * person + day, SNR, channels=ELECTRODES, background=background)
    source = OfflineParticipant(_pictures(), [*order.tolist(), *new], config.stimulus.onset_to_onset_s, settings)
    pipeline = Pipeline(config, source.spec)
    events = [event for item in source.events() for event in pipeline.push(item)] + list(pipeline.finish())
    epochs = [event.epoch for event in events if isinstance(event, Closed)]
    names = np.array([epoch.marker.picture for epoch in epochs])
    mixing = np.eye(len(ELECTRODES)) + _mixing(person, -1, PERSON) + _mixing(person, day, DAY)
    samples = np.array([epoch.samples for epoch in epochs], dtype=np.float32) @ mixing.astype(np.float32)
    layout = Layout.of(pipeline.times_s, config.window.start_s, config.window.baseline_s)
    return Day(names, samples, _targets(), layout)


class _Rendered:
    """The drawn pictures, each rendered once: every person sees the same ones."""

    def __init__(self, pictures: PictureSet) -> None:
        self.names, self.label, self.attributes, self.hash = (
            pictures.names, pictures.label, pictures.attributes, pictures.hash
        )  # fmt: skip
        self.image = cache(pictures.image)


@cache
def _pictures() -> PictureSet:
    return _Rendered(open_pictures(load_config("demo").pictures, "all"))


@cache
def _targets() -> Targets:
    """Return what each picture that anybody sees should decode to."""
    config = load_config("demo")
    return make_targets(config, np.array(open_pictures(config.pictures, "calibration").names))


def _mixing(person: int, day: int, size: float) -> Array:
    rng = np.random.default_rng((SEED, person, day + 1, 1))
    mixing: Array = size * rng.standard_normal((len(ELECTRODES), len(ELECTRODES))) / np.sqrt(len(ELECTRODES))
    return mixing


@cache
def _remembered(person: int) -> Memory:
    """Return what the bundle of a person's earlier day remembers."""
    config = load_config("demo")
    day = _day(config, person, 0, _trials(config, EARLIER_MINUTES))
    examples = day.examples(np.arange(len(day.names)))
    mapping = fit_map(examples, day.layout, config.fit)
    return remember(examples, np.zeros(len(day.names), dtype=np.int64), day.layout, mapping, config)
