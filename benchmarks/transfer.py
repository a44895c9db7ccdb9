"""What earlier days and other people are worth to somebody who begins: real recordings and simulated people.

By the names of MOABB's evaluations: alone is *within session*, earlier days are *cross session*, other people are
*cross subject*; naive pooling takes all sources as if their trials were new ones. Each run of a person is told apart by
maps that learned from the first trials of the person's other runs, and from sources as bundles remember them. The
recordings are open but not part of the project: they lie beside it, in ``../shared/data``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import accuracy
from benchmarks.accuracy import Recorded
from benchmarks.harness import Parts, machine, print_table, versions
from benchmarks.transfer_simulated import FIRST_WINDOWS, PEOPLE, aligned_to, person_rows
from calibration.model.earlier import Earlier
from calibration.model.examples import Examples, Layout
from calibration.model.folding import LinearMap
from calibration.model.from_sources import map_of_sources
from calibration.model.linear_model import fit_map
from calibration.model.remembering import remember
from calibration.scores.class_scores import auc, interval
from calibration.statistics import mean_interval
from configs.errors import InputError
from configs.schema import Config, WindowSettings
from realtime.decoding.memory import Memory

TRIALS = (0, 40, 80, 160, 320)
DRAWS = 2
"""Runs that the first trials are taken from in turn: what 40 trials give depends on which 40."""
SEED = 0
ALIGNED = ", EEG aligned"
WITHIN, CROSS_SESSION, CROSS_SUBJECT, POOLING = "within session", "cross session", "cross subject", "naive pooling"

_FEWEST_PEOPLE = 5
"""Fewer have no interval."""
_SECOND = np.array([-1.0, 1.0])

Array = NDArray[np.float64]

MUSE = {
    "muse_p300 day 1": (("muse_p300", "muse_p300_day1"), "muse_p300", None, 0.8),
    "muse_p300 day 2": (("muse_p300_day2",), "muse_p300", None, 0.8),
    "muse_p300 person 2": (("muse_p300_person2",), "muse_p300", None, 0.8),
    "muse_n170": (("muse_n170",), "muse_n170", None, 0.7),
    "muse_n170 person 11": (("muse_n170_person11",), "muse_n170", None, 0.7),
}
SETS: dict[str, dict[str, tuple[str, ...]]] = {
    "muse_p300 day 2": {CROSS_SESSION: ("muse_p300 day 1",)},
    "muse_p300 person 2": {CROSS_SUBJECT: ("muse_p300 day 1",)},
    "muse_n170 person 11": {CROSS_SUBJECT: ("muse_n170",)},
    **{
        f"gtec_p300 person {own}": {CROSS_SUBJECT: tuple(f"gtec_p300 person {n}" for n in (1, 2, 3) if n != own)}
        for own in (1, 2, 3)
    },
    **{
        f"uci_pictures person {own}": {
            CROSS_SUBJECT: tuple(f"uci_pictures person {n}" for n in range(1, 11) if n != own)
        }
        for own in range(1, 11)
    },
}
"""Who begins, and who comes before, by mode."""


def run(quick: bool = False, out: Path | None = None) -> dict[str, Any]:
    """Measure every set; ``--quick`` takes the other day of one person alone, with none and 40 new trials.

    What this commit has left in the folder `out` is not measured again, so that a run that was cut off goes on.
    """
    if not accuracy.DATA.is_dir():
        msg = f"the real recordings are not in {accuracy.DATA}"
        raise InputError(msg)
    if quick:
        return told(list(measure("muse_p300 day 2", (0, 40))))
    pieces = [(name, partial(measure, name)) for name in SETS]
    pieces += [(f"simulated person {n + 1}", partial(person_rows, n)) for n in range(PEOPLE)]
    parts = Parts(out)
    return told([row for name, rows in pieces for row in parts.get(name, partial(_listed, rows))])


def _listed(rows: Callable[[], Iterator[dict[str, Any]]]) -> list[dict[str, Any]]:
    return list(rows())


def told(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Print the rows, the ten people of one set as their mean, and return them with the machine."""
    print_table(
        "new trials of a person or day, with what came before: AUC of two classes, two-way identification of pictures",
        ("set", "mode", "trials", "score", "interval", "alone"),
        [
            (
                row["set"], row["mode"], row["trials"], _text(row["auc"]),
                f"{_text(row['low'])} to {_text(row['high'])}", _text(row["alone"]),
            )
            for row in [*rows, *means(rows)]
        ],
    )  # fmt: skip
    return {"rows": rows, "machine": machine(), "versions": versions("numpy", "scipy")}


def means(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the mean rows of sets that several people belong to; intervals are over people."""
    found = []
    for family in ("gtec_p300 person", "uci_pictures person", "simulated person"):
        own = [row for row in rows if row["set"].startswith(family)]
        for mode, trials in dict.fromkeys((row["mode"], row["trials"]) for row in own):
            alike = [row for row in own if (row["mode"], row["trials"]) == (mode, trials)]
            alone = [row["alone"] for row in alike if row["alone"] is not None]
            scores = np.array([row["auc"] for row in alike])
            few = len(scores) < _FEWEST_PEOPLE
            low, high = (None, None) if few else mean_interval(scores, np.arange(len(scores)), SEED)
            both = {"low": low, "high": high, "alone": float(np.mean(alone)) if alone else None}
            name = f"{family.removesuffix(' person')}, mean of {len(alike)}"
            found.append({"set": name, "mode": mode, "trials": trials, "auc": float(scores.mean())} | both)
    return found


def measure(name: str, sizes: tuple[int, ...] = TRIALS) -> Iterator[dict[str, Any]]:
    """Yield the rows of one set."""
    recorded = load(name)
    modes = {
        mode: tuple(Earlier(each, remembered(each), own=mode == CROSS_SESSION) for each in names)
        for mode, names in SETS[name].items()
    }
    for size in sizes:
        if size > _most(recorded):
            continue
        alone = None
        if size:
            evidence = [_evidence(recorded, draw, size, ()) for draw in range(DRAWS)]
            alone = _mean(recorded, [each[""] for each in evidence])
            yield from _rows(recorded, WITHIN, size, evidence, alone)
        for mode, earlier in modes.items():
            draws = [_evidence(recorded, draw, size, earlier) for draw in range(DRAWS if size else 1)]
            yield from _rows(recorded, mode, size, draws, alone)
        if size:
            every = tuple(each for earlier in modes.values() for each in earlier)
            draws = [_evidence(recorded, draw, size, every, pool=True) for draw in range(DRAWS)]
            yield from _rows(recorded, POOLING, size, draws, alone)


def _rows(
    recorded: Recorded, mode: str, size: int, evidence: list[dict[str, Array]], alone: float | None
) -> Iterator[dict[str, Any]]:
    """Yield the row of a mode, and where sessions were aligned as well, that of the mode with that."""
    for how in evidence[0]:
        yield _row(recorded, mode + how, size, [each[how] for each in evidence], alone)


def _row(recorded: Recorded, mode: str, size: int, evidence: list[Array], alone: float | None) -> dict[str, Any]:
    ends = [interval(each[None], recorded.labels, recorded.runs, SEED) for each in evidence]
    low, high = (float(value) for value in np.mean(ends, axis=0))
    row = {"set": recorded.name, "mode": mode, "trials": size, "auc": _mean(recorded, evidence)}
    return row | {"low": low, "high": high, "alone": alone}


def _mean(recorded: Recorded, evidence: list[Array]) -> float:
    return float(np.mean([auc(each[None], recorded.labels, recorded.runs) for each in evidence]))


def _most(recorded: Recorded) -> int:
    """Return the most trials that every run leaves to learn from."""
    counts = np.bincount(recorded.runs[recorded.clean])
    return int(counts.sum() - counts.max())


def _evidence(
    recorded: Recorded, draw: int, size: int, earlier: tuple[Earlier, ...], *, pool: bool = False
) -> dict[str, Array]:
    """Return the evidence ``[trials]`` for the second class, each run's by maps that never saw it.

    As the run comes, and with all of its windows but the first aligned by those, whatever was shown in them; the map of
    sources alone is made anew, of sources aligned to those windows.
    """
    found = {how: np.empty(len(recorded.labels)) for how in (("",) if pool else ("", ALIGNED))}
    layout, settings = _layout(recorded), recorded.config.fit
    runs = np.unique(recorded.runs)
    for one in runs:
        test = recorded.runs == one
        others = np.roll(runs[runs != one], -draw)
        rows = [np.flatnonzero((recorded.runs == run) & recorded.clean) for run in others]
        taught = np.concatenate([np.zeros(0, dtype=np.int64), *rows])[:size]
        made: LinearMap
        if pool:
            # Pooled trials have one memory, that of all of them.
            own = Earlier("own", remember_trials(recorded, taught))
            made = map_of_sources((*earlier, own), layout, settings)
        elif size:
            made = fit_map(_examples(recorded, taught), layout, settings, earlier).map
        else:
            made = map_of_sources(earlier, layout, settings)
        found[""][test] = made.predict(recorded.samples[test]) @ _SECOND
        if not pool:
            tested = np.flatnonzero(test)
            first = tested[recorded.clean[tested]][:FIRST_WINDOWS]
            if size:
                later = aligned_to(made, recorded.samples[taught], recorded.samples[first])
            else:
                later = map_of_sources(earlier, layout, settings, recorded.samples[first, layout.start :])
            found[ALIGNED][test] = found[""][test]
            behind = tested[tested > first[-1]]
            found[ALIGNED][behind] = later.predict(recorded.samples[behind]) @ _SECOND
    return found


def _layout(recorded: Recorded) -> Layout:
    return Layout.of(recorded.times_s, recorded.config.window.start_s, recorded.config.window.baseline_s)


def _examples(recorded: Recorded, which: NDArray[np.int64]) -> Examples:
    labels, targets = recorded.labels[which], np.eye(2, dtype=np.float32)
    every = np.ones(len(which), dtype=np.bool_)
    return Examples(recorded.samples[which], targets[labels], recorded.runs[which], labels.astype(np.str_), every)


def remember_trials(recorded: Recorded, which: NDArray[np.int64]) -> Memory:
    """Return what a bundle fitted on these trials remembers."""
    examples, layout = _examples(recorded, which), _layout(recorded)
    mapping = fit_map(examples, layout, recorded.config.fit)
    return remember(examples, recorded.runs[which], layout, mapping, recorded.config)


@cache
def remembered(name: str) -> Memory:
    """Return what a bundle fitted on the whole of a set remembers."""
    recorded = load(name)
    return remember_trials(recorded, np.flatnonzero(recorded.clean))


@cache
def load(name: str) -> Recorded:
    """Return a set by its name."""
    family, _, person = name.partition(" person ")
    if family == "gtec_p300":
        return replace(accuracy.gtec(int(person)), name=name)
    if family == "uci_pictures":
        return _uci(int(person))
    recorded = accuracy.muse(name, MUSE)
    if len(np.unique(recorded.runs)) == 1:
        stretches = np.arange(len(recorded.runs)) * 4 // len(recorded.runs)
        recorded = replace(recorded, runs=stretches)
    return recorded


def _uci(person: int) -> Recorded:
    """Return a person's first and second pictures; epochs come as they are, so their mean is taken out."""
    content: Mapping[str, NDArray[Any]] = np.load(accuracy.DATA / "uci_pictures" / f"p{person:02d}.npz")
    samples = np.ascontiguousarray(content["eeg"].swapaxes(1, 2))
    times_s = np.arange(samples.shape[1]) / float(content["fs"])
    window = WindowSettings(start_s=0.0, stop_s=1.0, baseline_s=(0.0, 1.0))
    labels = (content["condition"] > 0).astype(np.int64)
    one = np.zeros(len(labels), dtype=np.int64)
    every = np.ones(len(labels), dtype=np.bool_)
    config = Config(window=window)
    return Recorded(f"uci_pictures person {person}", samples, None, labels, one, every, config, times_s)


def _text(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3f}"
