"""What a session loses with less: a part of the window instead of all of it, or fewer electrodes.

A simulated participant of 64 electrodes looks at pictures; a map is fitted on the first looks, and the rest, at
pictures that it never saw, is decoded by what a session decodes with.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import Parts, machine, print_table
from benchmarks.lost_electrodes import lost
from calibration.data.targets import Targets, make_targets
from calibration.data.trials import Trials
from calibration.fit import fit_trials
from calibration.scores.confidence import bins, calibration_error
from calibration.scores.retrieval import retrieve
from configs.schema import Config, load_config
from realtime.decoding.bundle import Bundle
from realtime.decoding.early_answers import answers_of
from realtime.decoding.evidence import Percept, PictureEvidence
from realtime.epoching.epochs import Closed
from realtime.epoching.pipeline import Pipeline
from realtime.sources.simulation.offline import OfflineParticipant
from realtime.sources.simulation.participant import SimulationSettings
from stimuli.pictures import choose_pictures, open_pictures

SEED = 0
N_TRIALS = 1500
N_NEW = 200
LOOKS = 3
"""How often each new picture is looked at; looks are judged one by one."""
EVERY_S = 0.05
DECIDE_ABOVE = (0.8, 0.9, 0.95, 0.99)
CHOICES = 10
"""Pictures, the one that was shown among them, of which a confidence says how probable the nearest is."""


@dataclass(frozen=True)
class Day:
    """A participant's looks, and the bundle fitted on the first of them.

    Attributes
    ----------
    config
        The settings of the session.
    bundle
        Fitted on the looks at known pictures.
    targets
        The embeddings of all pictures.
    known, new
        The looks at known and at new pictures, in the order in which they were shown.
    """

    config: Config
    bundle: Bundle
    targets: Targets
    known: Trials
    new: Trials


def simulated_day(n_trials: int, n_new: int = N_NEW, looks: int = LOOKS) -> Day:
    """Return a simulated participant's day.

    Parameters
    ----------
    n_trials
        Looks at known pictures.
    n_new, looks
        Pictures that are new, and how often each is looked at.
    """
    config = load_config("demo")
    fit = config.fit.model_copy(update={"permutations": 0, "memory": False})
    config = config.model_copy(
        update={"fit": fit, "evidence": config.evidence.model_copy(update={"answer_at_s": EVERY_S})}
    )
    known = open_pictures(config.pictures, "calibration").names
    new = choose_pictures(open_pictures(config.pictures, "test"), n_new, SEED)
    rng = np.random.default_rng(SEED)
    learned = np.concatenate([rng.permutation(known) for _ in range(-(-n_trials // len(known)))])[:n_trials]
    shown = [*learned.tolist(), *np.concatenate([rng.permutation(new) for _ in range(looks)]).tolist()]
    pictures = open_pictures(config.pictures, "all")
    source = OfflineParticipant(pictures, shown, config.stimulus.onset_to_onset_s, SimulationSettings(seed=SEED))
    trials = _cut(source, config)
    taught = ~np.isin(trials.names, new)
    targets = make_targets(config, trials.names)
    first = trials.take(taught)
    bundle = fit_trials(first, targets.scaled_by(first.names), config).bundle
    return Day(config, bundle, targets, first, trials.take(~taught))


def _cut(source: OfflineParticipant, config: Config) -> Trials:
    """Return the windows of all looks."""
    pipeline = Pipeline(config, source.spec)
    events = [event for item in source.events() for event in pipeline.push(item)] + list(pipeline.finish())
    epochs = [event.epoch for event in events if isinstance(event, Closed)]
    return Trials(
        samples=np.array([epoch.samples for epoch in epochs], dtype=np.float32),
        names=np.array([epoch.marker.picture for epoch in epochs]),
        onsets=np.array([epoch.onset for epoch in epochs]),
        recordings=np.zeros(len(epochs), np.int64),
        times_s=pipeline.times_s,
        rate_hz=pipeline.rate_hz,
        spec=source.spec,
        filters=pipeline.filters,
        flags=tuple(epoch.flags for epoch in epochs),
        simulated=True,
    )


def two_way(day: Day, embeddings: NDArray[np.float32]) -> float:
    """Return the two-way identification of the new looks' `embeddings` ``[looks, dims]`` among all new pictures."""
    gallery = day.bundle.gallery
    own = gallery.places(day.new.names)
    return float(retrieve(embeddings, own, np.zeros_like(own), gallery).two_way.mean())


def by_time(day: Day) -> tuple[list[dict[str, float]], list[dict[str, float]]]:
    """Return how well windows are answered at each time, and what ending those that are decided saves."""
    bundle, looks = day.bundle, day.new
    flat, n_times = bundle.weights.reshape(-1, bundle.space.dims), len(bundle.weights)
    answers = answers_of(bundle.early, day.config.evidence, bundle.mean_input, bundle.first_s, bundle.rate_hz)
    stop_s = bundle.first_s + n_times / bundle.rate_hz
    choices = _choices(day)
    rows, confidences, rights = [], [], []
    for early in (*answers.values(), None):
        windows = looks.samples if early is None else early.whole(looks.samples[:, : early.seen])
        found = windows.reshape(len(looks), -1) @ flat + bundle.bias
        percepts = [
            evidence.add(trial, None, embedding, early=early)
            for trial, (evidence, embedding) in enumerate(zip(choices, found, strict=True))
        ]
        confidence = np.array([percept.confidence for percept in percepts], dtype=np.float64)
        right = np.array([_right(percept, str(name)) for percept, name in zip(percepts, looks.names, strict=True)])
        confidences.append(confidence)
        rights.append(right)
        rows.append(
            {
                "at_s": round(stop_s if early is None else early.at_s, 6),
                "two_way": two_way(day, found),
                "right_of_choices": float(right.mean()),
                "calibration_error": float(calibration_error(bins(confidence, right)) or 0.0),
            }
        )
    for row in rows:
        row["share_of_final"] = (row["two_way"] - 0.5) / (rows[-1]["two_way"] - 0.5)
    ends_s = np.array([row["at_s"] for row in rows]) - bundle.first_s
    told = np.array(confidences), np.array(rights)
    return rows, [_stopping(ends_s, *told, decide_above) for decide_above in DECIDE_ABOVE]


def _choices(day: Day) -> list[PictureEvidence]:
    """Return for each new look what compares it with the picture shown and others, drawn by lot."""
    rng = np.random.default_rng(SEED)
    names = np.unique(day.new.names)
    found = []
    for shown in day.new.names:
        others = rng.choice(names[names != shown], CHOICES - 1, replace=False)
        gallery = day.bundle.gallery.only({str(shown), *map(str, others)})
        found.append(PictureEvidence(gallery, day.bundle.confidence))
    return found


def _right(percept: Percept, shown: str) -> bool:
    return percept.neighbours[0].name == shown


def _stopping(
    ends_s: NDArray[np.float64], confidences: NDArray[np.float64], rights: NDArray[np.bool_], decide_above: float
) -> dict[str, float]:
    """Return what is saved where a window ends with its first decided answer.

    Parameters
    ----------
    ends_s
        ``[times]``: how much of the window was seen; the last is all of it.
    confidences, rights
        ``[times, looks]``.
    decide_above
        Confidence from which an answer is decided.
    """
    decided = confidences >= decide_above
    decided[-1] = True
    at = decided.argmax(axis=0)
    return {
        "decide_above": decide_above,
        "decided_early": float(np.mean(at < len(ends_s) - 1)),
        "window_time_saved": float(1 - ends_s[at].mean() / ends_s[-1]),
        "right": float(rights[at, np.arange(len(at))].mean()),
        "right_of_whole_windows": float(rights[-1].mean()),
    }


def run(quick: bool = False, out: Path | None = None) -> dict[str, Any]:
    """Measure and print; what this commit has left in the folder `out` is not measured again."""
    n_trials, n_new = (450, 60) if quick else (N_TRIALS, N_NEW)
    parts = Parts(out, "quick" if quick else "full")
    rows, stopping = parts.get("by-time", lambda: by_time(simulated_day(n_trials, n_new)))
    print_table(
        f"answers by time in the window, simulated participant, {n_trials} trials shown to learn from, "
        f"{n_new * LOOKS} single looks at new pictures; confidence of one among {CHOICES}",
        ("seen until", "two-way", "of the whole window's", f"right of {CHOICES}", "calibration error"),
        [
            (
                f"{1000 * row['at_s']:.0f} ms",
                f"{row['two_way']:.3f}",
                f"{row['share_of_final']:.1%}",
                f"{row['right_of_choices']:.3f}",
                f"{row['calibration_error']:.3f}",
            )
            for row in rows
        ],
    )
    print_table(
        f"windows that end with their first answer of a confidence, asked every {1000 * EVERY_S:.0f} ms",
        ("decided from", "decided early", "window time saved", f"right of {CHOICES}", "with whole windows"),
        [
            (
                f"{row['decide_above']:.0%}",
                f"{row['decided_early']:.0%}",
                f"{row['window_time_saved']:.0%}",
                f"{row['right']:.3f}",
                f"{row['right_of_whole_windows']:.3f}",
            )
            for row in stopping
        ],
    )
    return {"by_time": rows, "stopping": stopping, **lost(quick, parts), "machine": machine()}


if __name__ == "__main__":
    run()
