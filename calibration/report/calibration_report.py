"""The report of a calibration: one HTML page that needs nothing but itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.fit import Fit
from calibration.progress import Progress
from calibration.report import calibration_figures as figures
from calibration.report.page import data_uri, figure, p_is, page, table
from calibration.scores import class_scores, retrieval
from calibration.scores.breakdown import by_channel, by_time
from calibration.scores.learning_curve import learning_curve, trials_to_reach
from configs.files import write_whole
from configs.schema import Config
from realtime.decoding.gallery import similarity

Images = Callable[[str], NDArray[np.uint8]]

_GOALS = (0.6, 0.7, 0.8, 0.9)
_EXAMPLES = 4
_NEIGHBOURS = 6
_NAMES = {"auc": "AUC", "two_way": "2-way identification"}

_STYLE = """
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(24rem, 1fr)); gap: 1.2rem; align-items: start; }
.row { display: flex; gap: .5rem; align-items: flex-start; margin: .5rem 0; }
.row div { width: 96px; font-size: .72rem; line-height: 1.25; text-align: center; overflow-wrap: anywhere; }
.row div:first-child { padding-right: .9rem; border-right: 1px solid #8a949e; margin-right: .5rem; }
.row .hit { color: #1f6f8b; font-weight: bold; } .row img { width: 96px; display: block; }
"""


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
    """Return the page as text; parameters are those of `write_report`."""
    bundle, found = result.bundle, result.bundle.scores
    kind = "auc" if "auc" in found else "two_way"
    label = _NAMES[kind]
    where = (result.examples, result.layout)
    how = (config.fit, bundle.gallery)

    def tell(what: str) -> Callable[[int, int], None] | None:
        return None if progress is None else partial(progress, what)

    curve = learning_curve(*where, *how, progress=tell("learning curve"))
    times = by_time(*where, result.trials.times_s, *how, progress=tell("time windows"))
    channels = by_channel(*where, bundle.spec.channels, *how, progress=tell("electrodes"))
    about = f"{config.name}: {found['n_trials']} trials, {len(bundle.spec.channels)} electrodes, {bundle.rate_hz:g} Hz"
    sections = [
        _header(result, about),
        _headline(found, kind, label),
        "<h2>Scores against chance</h2>",
        figure(figures.against_chance(_score_rows(found, kind), "held-out score"), _score_note(result, kind)),
        f'<div class="pair"><div>{_repeats(found, kind)}</div><div>{_belief(found)}</div></div>',
        '<div class="pair"><div><h2>When</h2>',
        figure(
            figures.curve(times, label, bundle.filters.get("delay_s")),
            "Maps that see only 100 ms each; band: 95 % interval. The grey line marks the filters' delay: what the "
            "electrodes hold at onset arrives that much later.",
        ),
        "</div><div><h2>Where</h2>",
        figure(
            figures.by_electrode(channels, label),
            "Maps that see only one electrode, over the whole window; bars: 95 % intervals. Of many electrodes, the "
            "best are named, and rings on the head mark intervals that leave out chance.",
        ),
        '</div></div><div class="pair"><div><h2>Learning curve</h2>',
        figure(figures.learning(curve, label), _outlook(curve)),
        "</div><div><h2>Choice of alpha</h2>",
        figure(
            figures.alphas(
                bundle.fit["alphas"], bundle.fit["errors"], bundle.fit["alpha"], bundle.fit["alpha_by_fold"]
            ),
            f"Chosen by {_asked(result)}: {bundle.fit['alpha']:g}. Ticks: what each fold chose on its training trials "
            "alone.",
        ),
        "</div></div>",
        _examples(result, kind, images),
        _trials(result),
        _maps(result),
        _limits(result, kind),
        _facts(result),
    ]
    return page(about, sections, bundle.simulated, _STYLE)


def _header(result: Fit, about: str) -> str:
    made = result.bundle.provenance
    recordings = ", ".join(made.get("recordings", ())) or "trials given as arrays"
    return (
        f"<header><h1>Calibration report</h1><p>{escape(about)}</p>"
        f"<p>{escape(recordings)} · {escape(made['created'])} · {escape(made['software'])}</p></header>"
    )


def _headline(found: dict[str, Any], kind: str, label: str) -> str:
    value, p = found[kind], found.get("auc_p" if kind == "auc" else "p")
    if value is None:
        return '<p class="headline">The held-out pictures all have one label: there is nothing to identify.</p>'
    low, high = found[f"{kind}_interval"]
    verdict = "above chance" if low > 0.5 and (p is None or p < 0.05) else "not distinguishable from chance"
    tail = "" if p is None else f", permutation {p_is(p)}"
    return (
        f'<p class="headline"><b>{label} {value:.3f}</b> (95 % interval {low:.3f} to {high:.3f}{tail}); '
        f"chance is 0.5: <b>{verdict}</b>.</p>"
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


def _score_note(result: Fit, kind: str) -> str:
    fit = result.bundle.fit
    kept = "picture" if fit["group_by"] == "picture" else "recording (or stretch of one)"
    among = "" if kind == "auc" else f", among the {result.bundle.scores['n_way']:.0f} pictures of their fold"
    return (
        f"{result.bundle.scores['n_trials']} single trials, each decoded by a map that never saw its "
        f"{kept}{among}; bars: 95 % intervals. 'Before onset' is the same procedure on windows that end when the "
        "picture appears."
    )


def _repeats(found: dict[str, Any], kind: str) -> str:
    repeats = found["by_repeats"]
    if not repeats:
        return _ceiling(found)
    if kind == "auc":
        body = table(("repeats averaged", "AUC"), [(int(count), value) for count, value in repeats.items()])
    else:
        body = table(
            ("repeats averaged", "2-way", "top-1", "top-5", "of", "predictions"),
            [
                (int(count), row["two_way"], row["top1"], row["top5"], round(row["n_way"]), row["n"])
                for count, row in repeats.items()
            ],
        )
    return f"<h2>When repeats add up</h2>{body}{_ceiling(found)}"


def _ceiling(found: dict[str, Any]) -> str:
    """Say how near the map comes to what its own repeats allow."""
    if found.get("correlation") is None:
        return ""
    ceiling = found.get("noise_ceiling")
    if ceiling is None:
        bound = "There is no noise ceiling: too few pictures were repeated"
    else:
        bound = f"Noise ceiling {ceiling:.3f}: two predictions of one picture correlate with {found['reliability']:.3f}"
    return (
        f"<p class=note>Correlation of single predictions with their targets, mean over dimensions: "
        f"{found['correlation']:.3f}. {bound}.</p>"
    )


def _belief(found: dict[str, Any]) -> str:
    curve = found["reliability_curve"]
    if not curve:
        return ""
    caption = (
        f"Expected calibration error {found['calibration_error']:.3f}, single trials and averages together. "
        "Each fold is judged by a model of confidence that was fitted on the others; dot size goes with the number of "
        "predictions. On the diagonal, what is said with 70 % confidence is right in 70 %."
    )
    return f"<h2>Is the confidence true?</h2>{figure(figures.reliability(curve), caption)}"


def _outlook(curve: Sequence[Any]) -> str:
    if not curve:
        return "Too few trials for a curve."
    points, now = list(curve), curve[-1]
    ahead = [(goal, trials_to_reach(points, goal)) for goal in _GOALS if goal > now.score]
    told = [f"about {needed - now.n} more trials for {goal:g}" for goal, needed in ahead if needed is not None]
    return (
        "The first part of the training trials alone; the scored trials are the same; band: 95 % interval. "
        f"Extrapolated: {', '.join(told) if told else 'no goal is in sight'}. An extrapolation, not a promise."
    )


def _examples(result: Fit, kind: str, images: Images | None) -> str:
    gallery, predicted = result.bundle.gallery, result.held_out.predicted
    own = np.array([gallery.names.index(str(name)) for name in result.trials.names])
    if kind == "auc":
        html = f"<h2>The {'two classes' if len(gallery.names) == 2 else 'classes, two by two'}</h2>"
        evidence = retrieval.centred(class_scores.pair_evidence(predicted, gallery).T, result.held_out.folds).T
        for row, (a, b) in zip(evidence, class_scores.pairs(len(gallery.names)), strict=True):
            both = (own == a) | (own == b)
            caption = f"{np.count_nonzero(both)} held-out single trials. The overlap is what one trial leaves open."
            drawn = figures.evidence(row[both], own[both] == b, (gallery.names[a], gallery.names[b]))
            html += figure(drawn, caption)
        return html
    rows = []
    for place in np.unique(own):
        trials = np.flatnonzero(own == place)
        present = np.unique(own[result.held_out.folds == result.held_out.folds[trials[0]]])
        mean = predicted[trials].mean(axis=0, keepdims=True)
        alike = similarity(mean, gallery.embeddings[present], gallery.mean, gallery.std)[0]
        order = np.argsort(-alike)
        rank = int(np.flatnonzero(present[order] == place)[0])
        rows.append((rank, len(present), int(place), present[order[:_NEIGHBOURS]], alike[order[:_NEIGHBOURS]]))
    rows.sort(key=lambda row: row[0] / row[1])
    middle = len(rows) // 2
    chosen = (
        ("Best", rows[:_EXAMPLES]),
        ("Middle", rows[max(middle - _EXAMPLES // 2, 0) :][:_EXAMPLES]),
        ("Worst", rows[-_EXAMPLES:]),
    )
    html = (
        "<h2>Retrieval examples</h2><p class=note>Left: shown. Right: the nearest pictures of its fold to the mean "
        "held-out prediction, nearest first. Best, middle and worst, so that no choice flatters.</p>"
    )
    for title, group in chosen:
        html += f"<h3>{title}</h3>"
        for rank, among, place, nearest, alike in group:
            shown = _thumb(gallery.names[place], f"shown; rank {rank + 1} of {among}", images)
            others = "".join(
                _thumb(gallery.names[near], f"{value:.2f}", images, near == place)
                for near, value in zip(nearest, alike, strict=True)
            )
            html += f'<div class="row">{shown}{others}</div>'
    return html


def _thumb(name: str, text: str, images: Images | None, hit: bool = False) -> str:
    image = "" if images is None else f'<img src="{data_uri(figures.picture(images(name)))}" alt="{escape(name)}">'
    return f'<div class="{"hit" if hit else ""}">{image}{escape(name)}<br>{escape(text)}</div>'


def _trials(result: Fit) -> str:
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
    return f"<h2>Trials</h2>{table((), rows)}"


def _maps(result: Fit) -> str:
    """Say what draws the maps; it writes them beside this page."""
    recordings = result.bundle.provenance.get("recordings")
    if not recordings:
        return ""
    command = escape(f"perceptogram maps BUNDLE {' '.join(recordings)} --config CONFIG")
    return (
        "<h2>What carried it</h2><p>Which electrodes, and when, told what the pictures differ in: "
        f"<code>{command}</code> (BUNDLE is the folder of this page, CONFIG the settings of the fit) draws "
        '<a href="maps/maps.html">maps/maps.html</a> and <a href="maps/electrodes.html">maps/electrodes.html</a>; '
        "the links lead there from then on.</p>"
    )


def _limits(result: Fit, kind: str) -> str:
    lines = [
        "They are about this person, cap and session. Nothing here says how the map does on another day.",
        "A generator paints a convincing picture from any embedding, noise included. The scores measure the embedding; "
        "how real a picture looks measures nothing.",
        "Above chance does not mean that a single trial can be trusted: see the intervals and the repeats.",
        "Where and when are what a linear map can use there, which is not the same as where the brain does it: "
        "an electrode may help by carrying noise that another must get rid of.",
    ]
    if kind == "auc":
        lines.append(
            "Classes are told apart; that is no reconstruction. Anything that differs between the sets of "
            "pictures, brightness included, can be what is decoded."
        )
    else:
        lines.append(
            "Identification is among the pictures of a fold: among more pictures, or more similar ones, top-1 is lower."
        )
    if result.bundle.simulated:
        lines.insert(0, "The EEG was simulated; the numbers show that the machinery works, nothing about brains.")
    return "<h2>What the numbers do not show</h2><ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def _facts(result: Fit) -> str:
    bundle = result.bundle
    window = (
        f"{result.trials.times_s[0]:.3g} to {result.trials.times_s[-1]:.3g} s, {len(result.trials.times_s)} samples"
    )
    rows = [
        ("stream", f"{bundle.spec.name} ({bundle.spec.type}), {bundle.spec.rate_hz:g} Hz"),
        ("electrodes", ", ".join(bundle.spec.channels)),
        ("window", window),
        ("filters", ", ".join(f"{key} {_plain(value)}" for key, value in bundle.filters.items() if value is not None)),
        ("embedding", str(bundle.space)),
        ("validation", f"{bundle.fit['folds']} folds grouped by {bundle.fit['group_by']}, seed {bundle.fit['seed']}"),
        ("chosen", bundle.fit["chosen"] or f"alpha, by squared error; whitening: {bundle.fit['whiten']}"),
        ("chosen in the folds", _plain_counts(bundle.fit["chosen_by_fold"])),
        ("commit", bundle.provenance["commit"] or "unknown"),
    ]
    return f"<h2>How it was made</h2>{table((), rows)}"


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
