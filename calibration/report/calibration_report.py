"""The report of a calibration: one HTML page that needs nothing but itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.data.participants import carried_over
from calibration.fit import Fit
from calibration.progress import Progress
from calibration.report import calibration_figures as figures
from calibration.report.days_figure import scores_by_day
from calibration.report.page import page
from calibration.scores import class_scores, retrieval
from calibration.scores.breakdown import by_channel, by_time
from calibration.scores.enough import enough_a_fold
from calibration.scores.learning_curve import learning_curve, trials_to_reach
from configs.files import write_whole
from configs.schema import Config

Images = Callable[[str], NDArray[np.uint8]]

_GOALS = (0.6, 0.7, 0.8, 0.9)
_EXAMPLES = 4
_NEIGHBOURS = 6
_NAMES = {"auc": "AUC", "two_way": "2-way identification"}


def write_report(
    result: Fit, path: str | Path, config: Config, images: Images | None = None, progress: Progress | None = None
) -> None:
    """Write the report of a fit to `path`, whole or not at all.

    Parameters
    ----------
    result
        What `calibration.fit.fit_recordings` returned.
    path
        The HTML file.
    config
        The settings that the fit was made with.
    images
        Gives a picture by its name as RGB ``[height, width, 3]``; without it examples show names only.
    progress
        Told what is being done, how many parts of it are done, and of how many.
    """
    write_whole(Path(path), render(result, config, images, progress))


def render(result: Fit, config: Config, images: Images | None = None, progress: Progress | None = None) -> str:
    """Return the report's page as text.

    Parameters
    ----------
    result
        The fit, with its trials and held-out predictions.
    config
        The settings that it was made with.
    images
        Loads a picture by its name, for examples; left out, there are none.
    progress
        Called with the stage, how many of its parts are done and of how many.
    """
    bundle, found = result.bundle, result.bundle.scores
    kind = "auc" if "auc" in found else "two_way"
    label = _NAMES[kind]
    where = (result.examples, result.layout)
    how = (enough_a_fold(config, len(np.unique(result.trials.names))).fit, bundle.gallery)

    def tell(what: str) -> Callable[[int, int], None] | None:
        return None if progress is None else partial(progress, what)

    curve = learning_curve(*where, *how, progress=tell("learning curve"))
    times = by_time(*where, result.trials.times_s, *how, progress=tell("time windows"))
    channels = by_channel(*where, bundle.spec.channels, *how, progress=tell("electrodes"))
    fit, score, p = bundle.fit, found[kind], found.get("auc_p" if kind == "auc" else "p")
    belief = found["reliability_curve"]
    head, repeats = _repeats(found, kind)
    earlier = carried_over(bundle)
    about = f"{config.name}: {found['n_trials']} trials, {len(bundle.spec.channels)} electrodes, {bundle.rate_hz:g} Hz"
    return page(
        "calibration.html",
        about=about,
        simulated=bundle.simulated,
        made=bundle.provenance,
        recordings=bundle.provenance.get("recordings", ()),
        fit=fit,
        found=found,
        label=label,
        score=score,
        interval=found.get(f"{kind}_interval"),
        p=p,
        above=score is not None and found[f"{kind}_interval"][0] > 0.5 and (p is None or p < 0.05),
        scores=figures.against_chance(_score_rows(found, kind), "held-out score"),
        repeats_head=head,
        repeats=repeats,
        reliability=figures.reliability(belief) if belief else None,
        when=figures.curve(times, label, bundle.filters.get("delay_s")),
        where=figures.by_electrode(channels, label),
        learning=figures.learning(curve, label),
        outlook=_outlook(curve),
        alphas=figures.alphas(fit["alphas"], fit["errors"], fit["alpha"], fit["alpha_by_fold"]),
        asked=_asked(result),
        days=scores_by_day(earlier).png if earlier else None,
        carried=[
            (each.folder, each.day, each.n_trials, f"{earlier[-1].sources[each.folder]:.0f}") for each in earlier[:-1]
        ],
        classes=_class_figures(result) if kind == "auc" else [],
        told_apart=bundle.gallery.names,
        labels=bundle.space.is_labels,
        examples={} if kind == "auc" else _examples(result, images),
        trials=_trials(result),
        facts=_facts(result),
    )


def _score_rows(found: dict[str, Any], kind: str) -> list[tuple[str, float, tuple[float, float] | None, float]]:
    rows: list[tuple[str, float, tuple[float, float] | None, float]] = []
    for key, name, chance in (
        (kind, _NAMES[kind], 0.5),
        (f"baseline_{kind}", "before onset", 0.5),
        ("top1", "top-1", found.get("chance_top1")),
        ("top5", "top-5", found.get("chance_top5")),
    ):
        if found.get(key) is not None and chance is not None:
            interval = found.get(f"{key}_interval")
            rows.append((name, found[key], tuple(interval) if interval else None, chance))
    return rows


def _repeats(found: dict[str, Any], kind: str) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """Return head and rows of the table of scores by how many repeats are averaged."""
    repeats = found["by_repeats"]
    if kind == "auc":
        return ("repeats averaged", "AUC"), [(int(count), value) for count, value in repeats.items()]
    rows = [
        (int(count), row["two_way"], row["top1"], row["top5"], round(row["n_way"]), row["n"])
        for count, row in repeats.items()
    ]
    return ("repeats averaged", "2-way", "top-1", "top-5", "of", "predictions"), rows


def _outlook(curve: Sequence[Any]) -> list[str] | None:
    """Return how many more trials each goal would take, as far as it is in sight; None without a curve."""
    if not curve:
        return None
    points, now = list(curve), curve[-1]
    ahead = [(goal, trials_to_reach(points, goal)) for goal in _GOALS if goal > now.score]
    return [f"about {needed - now.n} more trials for {goal:g}" for goal, needed in ahead if needed is not None]


def _class_figures(result: Fit) -> list[tuple[bytes, int]]:
    """Return the evidence for each pair of classes as a figure, and of how many trials."""
    gallery, own, drawn = result.judged.gallery, result.judged.own, []
    evidence = class_scores.pair_evidence(result.judged.predicted, gallery)
    centred = retrieval.centred(evidence.T, result.judged.folds).T
    for row, (a, b) in zip(centred, class_scores.pairs(len(gallery.names)), strict=True):
        both = (own == a) | (own == b)
        png = figures.evidence(row[both], own[both] == b, (gallery.names[a], gallery.names[b]))
        drawn.append((png, int(np.count_nonzero(both))))
    return drawn


@dataclass(frozen=True)
class _Example:
    """A picture, by name and where it can be had as PNG, and what stands under it."""

    name: str
    text: str
    png: bytes | None


def _examples(result: Fit, images: Images | None) -> dict[str, list[tuple[_Example, list[_Example]]]]:
    """Return pictures and those that were taken for them: best, middle and worst."""
    judged, own = result.judged, result.judged.own
    gallery, predicted = judged.gallery, judged.predicted

    def example(place: int, text: str) -> _Example:
        name = judged.pictures[place]
        return _Example(name, text, None if images is None else figures.picture(images(name)))

    rows = []
    for place in np.unique(own):
        trials = np.flatnonzero(own == place)
        present = np.unique(own[judged.folds == judged.folds[trials[0]]])
        mean = predicted[trials].mean(axis=0, keepdims=True)
        alike = gallery.compare(mean[0]).similarities[present]
        order = np.argsort(-gallery.reach(mean, present)[0])
        rank = int(np.flatnonzero(present[order] == place)[0])
        rows.append((rank, len(present), int(place), present[order[:_NEIGHBOURS]], alike[order[:_NEIGHBOURS]]))
    rows.sort(key=lambda row: row[0] / row[1])
    middle = max(len(rows) // 2 - _EXAMPLES // 2, 0)
    chosen = {"Best": rows[:_EXAMPLES], "Middle": rows[middle:][:_EXAMPLES], "Worst": rows[-_EXAMPLES:]}
    return {
        title: [
            (
                example(place, f"shown; rank {rank + 1} of {among}"),
                [example(near, f"{value:.2f}") for near, value in zip(nearest, alike, strict=True)],
            )
            for rank, among, place, nearest, alike in group
        ]
        for title, group in chosen.items()
    }


def _trials(result: Fit) -> list[tuple[str, int]]:
    found = result.bundle.scores
    flags = Counter(flag for each in result.trials.flags for flag in each)
    rows: list[tuple[str, int]] = [
        ("used", found["n_trials"]),
        ("of these flagged: scored, not learned from", found["n_trials"] - result.bundle.fit["n_taught"]),
        ("refused", found["refused"]),
        ("samples lost", found["lost_samples"]),
    ]
    rows += [(f"refused: {reason}", count) for reason, count in found["refused_because"].items()]
    rows += [(f"flag: {flag}", count) for flag, count in flags.most_common(12)]
    return rows


def _facts(result: Fit) -> list[tuple[str, str]]:
    bundle = result.bundle
    window = (
        f"{result.trials.times_s[0]:.3g} to {result.trials.times_s[-1]:.3g} s, {len(result.trials.times_s)} samples"
    )
    return [
        ("stream", f"{bundle.spec.name} ({bundle.spec.type}), {bundle.spec.rate_hz:g} Hz"),
        ("electrodes", ", ".join(bundle.spec.channels)),
        ("window", window),
        ("filters", ", ".join(f"{key} {_plain(value)}" for key, value in bundle.filters.items() if value is not None)),
        ("embedding", str(bundle.space)),
        ("validation", f"{bundle.fit['folds']} folds grouped by {bundle.fit['group_by']}, seed {bundle.fit['seed']}"),
        ("chosen", bundle.fit["chosen"] or f"alpha, by squared error; whitening: {bundle.fit['whiten']}"),
        ("chosen in the folds", _plain_counts(bundle.fit["chosen_by_fold"])),
        ("compared by", bundle.fit["compared"]),
        ("commit", bundle.provenance["commit"] or "unknown"),
    ]


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return " + ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _asked(result: Fit) -> str:
    """Return by what alpha was chosen, for people."""
    if result.bundle.fit["choose"] == "error":
        return "squared error"
    return "how well held-out trials are told apart, not by the error drawn here"


def _plain_counts(counts: Mapping[str, int]) -> str:
    """Return how often each was chosen."""
    return "; ".join(f"{name}: {count}" for name, count in counts.items()) or "alpha alone"
