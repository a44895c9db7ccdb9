"""Single trials of real recordings and of the simulated participant, told apart by our map, by its elder, by peers.

Each recording (or stretch, where there is one) is predicted by maps that learned from the others, in the same folds for
all: the map as it is chosen, the map by squared error, and what the field uses for two classes, as its documentation
says: scikit-learn's shrinkage LDA, xDAWN and LDA, and Riemannian tangent space (pyriemann, not linear). The recordings
are open but not part of the project: they lie beside it, in ``../shared/data``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy_simulated import CASES, simulated
from benchmarks.harness import Parts, machine, print_table, versions
from calibration.data.reading import read_trials
from calibration.model.choosing import MapChoice, said
from calibration.model.examples import Examples, Layout
from calibration.model.linear_model import fit_map
from calibration.scores.class_scores import auc, interval
from configs.errors import InputError
from configs.schema import Config, FilterSettings, FitSettings, WindowSettings, load_config

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
CURVE = (40, 80, 160, 320)
SEED = 0
_PEER_RATE_HZ = 64.0
"""Peers see steps of about 16 ms, as our map does: on raw samples they take long and are no better."""

Array = NDArray[np.float64]
Peer = Callable[[Array, NDArray[np.int64], Array], Array]


@dataclass(frozen=True)
class Recorded:
    """Trials of two classes.

    Attributes
    ----------
    name
        Of the set.
    samples
        float32 ``[trials, times, channels]``.
    earlier
        The same trials' windows that end at onset, with `layout` moved along; None where nothing came before.
    labels, runs
        ``[trials]``.
    clean
        bool ``[trials]``: what may be learned from.
    config
        Window and fit.
    times_s
        ``[times]``.
    """

    name: str
    samples: NDArray[np.float32]
    earlier: NDArray[np.float32] | None
    labels: NDArray[np.int64]
    runs: NDArray[np.int64]
    clean: NDArray[np.bool_]
    config: Config
    times_s: Array


def run(quick: bool = False, out: Path | None = None) -> dict[str, Any]:
    """Score every set; ``--quick`` takes the first alone, without its learning curve.

    What this commit has left in the folder `out` is not measured again, so that a run that was cut off goes on.
    """
    if not DATA.is_dir():
        msg = f"the real recordings are not in {DATA}"
        raise InputError(msg)
    parts, found = Parts(out), []
    simulations = ((case.name, partial(simulated, case)) for case in CASES)
    sets: list[tuple[str, Callable[[], dict[str, Any]]]] = [*recordings(), *simulations]
    for name, measured in sets:
        if quick:
            found.append(score(muse(name), ()))
            break
        found.append(parts.get(name, partial(_timed, measured)))
    names = sorted({peer for one in found for peer in one["peers"]})
    print_table(
        "single trials of runs that no map learned from: AUC of two classes, two-way identification of pictures",
        ("set", "trials", "before", "by error", "ours", "interval", *names),
        [
            (
                one["name"], one["n_trials"], _text(one["before_onset"]), _text(one["today"]),
                _text(one.get("auc", one.get("two_way"))), f"{_text(one['low'])} to {_text(one['high'])}",
                *(_text(one["peers"].get(peer)) for peer in names),
            )
            for one in found
        ],
    )  # fmt: skip
    return {"sets": found, "machine": machine(), "versions": versions("numpy", "scipy", "scikit-learn", "pyriemann")}


def _timed(measured: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    begin = time.monotonic()
    return measured() | {"seconds": round(time.monotonic() - begin, 1)}


def score(recorded: Recorded, curve: tuple[int, ...] = CURVE) -> dict[str, Any]:
    """Return one set's scores, each run predicted by maps of the others."""
    settings = recorded.config.fit
    by_error = settings.model_copy(update={"choose": "error"})
    evidence, choices = _held_out(recorded, recorded.samples, recorded.config, settings)
    own, runs = recorded.labels, recorded.runs
    low, high = interval(evidence[None], own, runs, SEED)
    before = None
    if recorded.earlier is not None:
        window = recorded.config.window
        rate_hz = (len(recorded.times_s) - 1) / float(recorded.times_s[-1] - recorded.times_s[0])
        moved = recorded.config.model_copy(update={"window": window.pre_stimulus(rate_hz)})
        early = _held_out(recorded, recorded.earlier, moved, settings.moved(-window.stop_s))
        before = auc(early[0][None], own, runs)

    def of(fit: FitSettings, limit: int | None = None) -> float:
        return auc(_held_out(recorded, recorded.samples, recorded.config, fit, limit)[0][None], own, runs)

    return {
        "name": recorded.name,
        "n_trials": len(own),
        "n_by_run": np.unique(runs, return_counts=True)[1].tolist(),
        "auc": auc(evidence[None], own, runs),
        "auc_clean": auc(evidence[None, recorded.clean], own[recorded.clean], runs[recorded.clean]),
        "low": low,
        "high": high,
        "before_onset": before,
        "today": of(by_error),
        "peers": {name: _of_peer(recorded, peer) for name, peer in peers().items()},
        "curve": {str(n): of(settings, n) for n in curve},
        "curve_today": {str(n): of(by_error, n) for n in curve},
        "chosen": said(choices),
    }


def _held_out(
    recorded: Recorded,
    samples: NDArray[np.float32],
    config: Config,
    fit: FitSettings,
    limit: int | None = None,
) -> tuple[Array, list[MapChoice]]:
    """Return the evidence ``[trials]`` for the second class, and what was chosen in each fold."""
    window = config.window
    choices: list[MapChoice] = []
    times_s = window.start_s + recorded.times_s - recorded.times_s[0]
    layout = Layout.of(times_s, window.start_s, None)
    targets = np.eye(2, dtype=np.float32)[recorded.labels]
    names = recorded.labels.astype(np.str_)
    examples = Examples(samples, targets, recorded.runs, names, recorded.clean)
    evidence = np.empty(len(names))
    for test, train in _folds(recorded, limit):
        fitted = fit_map(examples.take(train), layout, fit)
        choices += [] if fitted.choice is None else [fitted.choice]
        evidence[test] = fitted.map.predict(samples[test]) @ np.array([-1.0, 1.0])
    return evidence, choices


def _folds(recorded: Recorded, limit: int | None) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.int64]]]:
    """Yield the trials of each run, and the first `limit` clean trials of the others."""
    for one in np.unique(recorded.runs):
        test = recorded.runs == one
        yield test, np.flatnonzero(~test & recorded.clean)[:limit]


def peers() -> dict[str, Peer]:
    """Return what is compared with; without pyriemann only what scikit-learn has."""
    from importlib.util import find_spec

    found: dict[str, Peer] = {"shrinkage LDA": _lda}
    if find_spec("pyriemann") is not None:
        found |= {"xDAWN + LDA": _xdawn, "tangent space": _tangent}
    return found


def _of_peer(recorded: Recorded, peer: Peer) -> float:
    rate_hz = (len(recorded.times_s) - 1) / float(recorded.times_s[-1] - recorded.times_s[0])
    each = max(1, round(rate_hz / _PEER_RATE_HZ))
    whole = recorded.samples.shape[1] // each * each
    steps = recorded.samples[:, :whole].astype(np.float64)
    x = steps.reshape(len(steps), -1, each, steps.shape[2]).mean(axis=2).swapaxes(1, 2)
    evidence = np.empty(len(x))
    for test, train in _folds(recorded, None):
        evidence[test] = peer(x[train], recorded.labels[train], x[test])
    return auc(evidence[None], recorded.labels, recorded.runs)


def _lda(x: Array, y: NDArray[np.int64], unseen: Array) -> Array:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(x.reshape(len(x), -1), y)
    evidence: Array = model.decision_function(unseen.reshape(len(unseen), -1))
    return evidence


def _xdawn(x: Array, y: NDArray[np.int64], unseen: Array) -> Array:
    from pyriemann.spatialfilters import Xdawn

    filters = Xdawn(nfilter=min(4, x.shape[1])).fit(x, y)
    return _lda(filters.transform(x), y, filters.transform(unseen))


def _tangent(x: Array, y: NDArray[np.int64], unseen: Array) -> Array:
    from pyriemann.estimation import XdawnCovariances
    from pyriemann.tangentspace import TangentSpace
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    steps = (XdawnCovariances(nfilter=min(4, x.shape[1]), estimator="lwf"), TangentSpace())
    model = make_pipeline(*steps, LogisticRegression(max_iter=1000, class_weight="balanced")).fit(x, y)
    evidence: Array = model.decision_function(unseen)
    return evidence


MUSE = {
    "muse_n170": (("muse_n170",), "muse_n170", None, 0.7),
    "muse_left_right": (("muse_left_right",), "muse_n170", None, 0.7),
    "muse_spatial_freq": (("muse_spatial_freq",), "muse_n170", "Marker0", 0.4),
    "muse_p300": (("muse_p300", "muse_p300_day1"), "muse_p300", None, 0.8),
    "muse_p300_day2": (("muse_p300_day2",), "muse_p300", None, 0.8),
    "muse_p300_person2": (("muse_p300_person2",), "muse_p300", None, 0.8),
}
"""Folders, preset, column of the markers (of several) and end of the window in seconds after onset, by set."""


def recordings() -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Yield the name of every set of two classes with what scores it."""
    for name in MUSE:
        yield name, partial(_scored, partial(muse, name))
    for person in (1, 2, 3):
        yield f"gtec_p300, person {person}", partial(_scored, partial(gtec, person))
    yield "bci2_iib", partial(_scored, _bci2)


def _scored(load: Callable[[], Recorded]) -> dict[str, Any]:
    return score(load())


def muse(name: str, sets: Mapping[str, tuple[tuple[str, ...], str, str | None, float]] = MUSE) -> Recorded:
    """Return one of the sets of a four-electrode headband."""
    folders, preset, column, stop_s = sets[name]
    config = load_config(preset)
    markers = config.markers.model_copy(update={"classes": {"1": "one", "2": "two"}, "channel": column})
    window = WindowSettings(start_s=0.0, stop_s=stop_s)
    config = config.model_copy(update={"markers": markers, "window": window})
    paths = [path for folder in folders for path in sorted((DATA / folder).glob("run*.csv"))]
    wide = WindowSettings(start_s=-stop_s, stop_s=stop_s)
    trials = read_trials(paths, config.model_copy(update={"window": wide}))
    after = trials.times_s >= -1e-6
    flagged = np.array([bool(flags) for flags in trials.flags])
    return Recorded(
        name,
        trials.samples[:, after],
        trials.samples[:, ~after],
        (trials.names == "two").astype(np.int64),
        trials.recordings.astype(np.int64),
        ~flagged,
        config,
        trials.times_s[after],
    )


def gtec(person: int) -> Recorded:
    """Return the trials of one of three people, cut into five stretches."""
    from scipy.io import loadmat

    content = loadmat(DATA / "gtec_p300" / f"S{person}.mat")
    trigger = np.ravel(content["trig"])
    onsets = np.flatnonzero((trigger != 0) & (np.r_[0, trigger[:-1]] == 0))
    labels = (trigger[onsets] > 0).astype(np.int64)
    runs = np.arange(len(onsets)) * 5 // len(onsets)
    return _cut(f"gtec_p300, person {person}", [np.asarray(content["y"], float)], [onsets], labels, runs, 250.0, 0.7)


def _bci2() -> Recorded:
    from scipy.io import loadmat

    signals: list[Array] = []
    onsets: list[NDArray[np.int64]] = []
    labels, runs = [], []
    for number, path in enumerate(sorted((DATA / "bci2_iib").glob("*.mat"))):
        content = loadmat(path)
        flashing = np.ravel(content["Flashing"])
        onsets.append(np.flatnonzero((flashing[1:] == 1) & (flashing[:-1] == 0)) + 1)
        signals.append(np.asarray(content["signal"], float))
        labels.append(np.ravel(content["StimulusType"])[onsets[-1]])
        runs.append(np.full(len(onsets[-1]), number))
    return _cut("bci2_iib", signals, onsets, np.concatenate(labels), np.concatenate(runs), 240.0, 0.65)


def _cut(
    name: str,
    signals: list[Array],
    onsets: list[NDArray[np.int64]],
    labels: NDArray[np.integer[Any]],
    runs: NDArray[np.integer[Any]],
    rate_hz: float,
    stop_s: float,
) -> Recorded:
    """Return the trials of arrays ``[samples, channels]``, filtered as a live stream would be."""
    from realtime.epoching.filters import FilterChain
    from realtime.timeline.sample_grid import TimedChunk

    config = Config(window=WindowSettings(start_s=0.0, stop_s=stop_s))
    settings = FilterSettings(highpass_hz=0.3, lowpass_hz=20.0, notch_hz=None, rate_hz=None)
    count = round(stop_s * rate_hz)
    epochs: list[NDArray[np.float32]] = []
    kept: list[NDArray[np.bool_]] = []
    for signal, begins in zip(signals, onsets, strict=True):
        index = np.arange(len(signal))
        chunk = TimedChunk(index, index / rate_hz, signal.astype(np.float32), 0.0)
        filtered = FilterChain(settings, rate_hz, signal.shape[1]).push(chunk).samples
        inside = (begins >= count) & (begins + count <= len(filtered))
        kept.append(inside)
        epochs += [filtered[begin - count : begin + count] for begin in begins[inside]]
    samples, which = np.array(epochs, dtype=np.float32), np.concatenate(kept)
    return Recorded(
        name,
        samples[:, count:],
        samples[:, :count],
        labels[which].astype(np.int64),
        runs[which].astype(np.int64),
        np.ones(len(samples), dtype=np.bool_),
        config,
        np.arange(count) / rate_hz,
    )


def _text(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3f}"
