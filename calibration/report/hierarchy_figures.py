"""Figures of when the EEG tells what, of tampered EEG, and of what the evidence hangs on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from calibration.maps.hierarchy import Course
from calibration.maps.perturbations import INTACT, MIRRORED, Perturbations, Saliency
from calibration.report.figure import CHANCE, COLOURS, INK, Drawn, drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[np.float64]

_STYLES = ("-", "--", "-.", ":")
_NAMES = {"two_way": "2-way identification", "auc": "AUC"}
_ZERO_MS = "ms after onset"


def _zero(axes: Axes) -> None:
    axes.axhline(0, color=CHANCE, linewidth=1)
    axes.axvline(0, color=CHANCE, linewidth=1, linestyle=(0, (2, 2)))


def _courses(axes: Axes, courses: Sequence[Course], times_ms: Array, label: str) -> None:
    """Draw scores over time; a bar under them marks what is beyond chance, a triangle the peak."""
    _zero(axes)
    bottom = min(-0.02, min(float(course.values.min()) for course in courses))
    span = max(float(course.values.max()) for course in courses) - bottom
    for place, course in enumerate(courses):
        colour = COLOURS[place]
        if course.low is not None and course.high is not None:
            axes.fill_between(times_ms, course.low, course.high, color=colour, alpha=0.18, linewidth=0)
        axes.plot(times_ms, course.values, _STYLES[place % 4], color=colour, label=_legend(course))
        level = bottom - span * (0.05 + 0.04 * place)
        sure = course.values > course.threshold
        axes.plot(times_ms[sure], np.full(int(sure.sum()), level), "s", color=colour, markersize=3.5)
        if course.peak_s is not None:
            axes.plot(1e3 * course.peak_s, course.values.max() + 0.03 * span, "v", color=colour, markersize=6)
    axes.legend(frameon=False, fontsize=8)
    axes.set(xlabel=_ZERO_MS, ylabel=label)


def _legend(course: Course) -> str:
    if course.onset_s is None and course.peak_s is None:
        return f"{course.name}: not beyond chance"
    told = []
    if course.onset_s is not None:
        told.append(f"from {_moment(course.onset_s, course.onset_interval_s)}")
    if course.peak_s is not None:
        told.append(f"peak {_moment(course.peak_s, course.peak_interval_s)}")
    return f"{course.name}: {', '.join(told)} ms"


def _moment(at: float, ends: tuple[float, float] | None) -> str:
    return f"{1e3 * at:.0f}" if ends is None else f"{1e3 * at:.0f} [{1e3 * ends[0]:.0f}, {1e3 * ends[1]:.0f}]"


def decoding(courses: Sequence[Course], times_s: Array, what: Sequence[str], n: str, about: str) -> Drawn:
    """Draw how well each space is read from all electrodes over time.

    Parameters
    ----------
    courses
        The score of each space over time.
    times_s
        ``[times]``: middles of the stretches, seconds after onset.
    what
        What each space is, for the caption.
    n
        How many units of what, for the caption.
    about
        Whose EEG it is, for the caption.
    """
    spaces = "; ".join(f"{course.name}: {text}" for course, text in zip(courses, what, strict=True))
    caption = (
        f"{about}; {n}. {spaces}. Correlation of held-out ridge predictions from stretches of 20 ms with the first "
        "principal components; band: 95 % interval (bootstrap). Squares: p < 0.05, labels shuffled, family-wise over "
        "time. Onset: first of two such stretches in a row."
    )
    with drawing("hierarchy-decoding", "When what is told", caption, 7.4, 4.2) as (figure, made):
        _courses(figure.subplots(), courses, 1e3 * times_s, "held-out correlation")
    return made


def similarity(found: dict[str, list[Course]], times_s: Array, n: str, about: str) -> Drawn:
    """Draw how alike dissimilarities in the EEG and in each space are over time.

    Parameters
    ----------
    found
        Courses of each space, whole and unique.
    times_s
        ``[times]``: middles of the stretches, seconds after onset.
    n
        How many units of what, for the caption.
    about
        Whose EEG it is, for the caption.
    """
    caption = (
        f"{about}; {n}. Spearman correlation of the distances between all pairs of pictures, in the EEG (1 − r of "
        "whitened patterns, stretches of 20 ms) and in each space. Unique: what the other spaces tell taken out of the "
        "ranks. Squares: p < 0.05, pictures exchanged, family-wise over time."
    )
    with drawing("hierarchy-rsa", "Whose likeness the EEG has", caption, 9.4, 4.2) as (figure, made):
        for axes, (kind, courses) in zip(figure.subplots(1, 2, sharey=True), found.items(), strict=True):
            _courses(axes, courses, 1e3 * times_s, "rank correlation" if kind == "whole" else "")
            axes.set_title(kind, loc="left", fontsize=9)
    return made


def perturbed(found: Perturbations, about: str) -> Drawn:
    """Draw the scores of mirrored EEG, and how far a stretch of other EEG pulls what is decoded."""
    exchanged = f"{len(found.exchanged)} pairs of electrodes" if found.exchanged else "no pair of electrodes"
    shown = "pictures" if found.kind == "two_way" else "classes"
    caption = (
        f"{about}; n = {found.n_trials} trials of {found.n_pictures} {shown}, each judged by a map that never saw it. "
        f"Left: {exchanged} changed sides. Right: 50 ms of the EEG taken from a trial of another picture; share of the "
        "way to that picture that what is decoded has moved. Bars and bands: 95 % intervals (bootstrap over pictures)."
    )
    with drawing("hierarchy-perturbed", "What tampered EEG does", caption, 9.4, 4.4) as (figure, made):
        left, right = figure.subplots(1, 2, width_ratios=(1, 1.3))
        rows = [(f"embedding ({_NAMES[found.kind]})", found.scores, 0.5)]
        rows += [(f"{name} (r)", parts, 0.0) for name, parts in found.attributes.items()]
        for place, (_, parts, chance) in enumerate(reversed(rows)):
            for shift, condition, colour in ((0.12, INTACT, COLOURS[0]), (-0.12, MIRRORED, COLOURS[1])):
                if condition in parts:
                    part = parts[condition]
                    label = condition if place == 0 else None
                    left.plot([part.low, part.high], [place + shift] * 2, color=colour, linewidth=2.5, alpha=0.45)
                    left.plot(part.score, place + shift, "o" if shift > 0 else "D", color=colour, label=label)
            left.plot([chance] * 2, [place - 0.3, place + 0.3], color=CHANCE, linewidth=1.5)
        left.set_yticks(range(len(rows)), [row[0] for row in reversed(rows)])
        left.set(xlabel="score (grey: chance)", ylim=(-0.6, len(rows) + 0.6))
        left.legend(frameon=False, fontsize=8, loc="upper left", ncols=2)
        _zero(right)
        middles = 1e3 * found.middles_s
        for place, (name, (pull, low, high)) in enumerate(found.pulls.items()):
            colour = INK if place == 0 else COLOURS[(place - 1) % len(COLOURS)]
            right.fill_between(middles, low, high, color=colour, alpha=0.12, linewidth=0)
            right.plot(middles, pull, _STYLES[place % 4], color=colour, linewidth=2 if place == 0 else 1.3, label=name)
        right.legend(frameon=False, fontsize=8)
        right.set(xlabel=f"middle of the stretch, {_ZERO_MS}", ylabel="share of the way to the other picture")
    return made


def salient(found: Saliency, times_s: Array, channels: Sequence[str], n: str, about: str) -> Drawn:
    """Draw what each sample brought to the evidence for the right picture.

    Parameters
    ----------
    found
        Mean contribution of each sample, and their sum.
    times_s
        ``[times]``, seconds after onset.
    channels
        Names of the electrodes.
    n
        How many units of what, for the caption.
    about
        Whose EEG it is, for the caption.
    """
    from calibration.report.figure import DIVERGING
    from realtime.electrodes import head_places

    caption = (
        f"{about}; {n}, each judged by a map that never saw its picture. Mean contribution of a sample to how far the "
        f"embedding reaches towards the right picture; all of them add up to {found.evidence:.2f} standard deviations. "
        "Below: summed over electrodes. No test: the map's weights show what it uses, not where a signal is."
    )
    places = head_places(channels)
    order = sorted(range(len(channels)), key=lambda k: -(places[k] or (0.0, -2.0))[1])
    with drawing("hierarchy-saliency", "What the evidence hangs on", caption, 8.4, 6.6) as (figure, made):
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        limit = max(float(np.abs(found.contribution).max()), 1e-12)
        edges = (1e3 * times_s[0], 1e3 * times_s[-1], len(order) - 0.5, -0.5)
        image = upper.imshow(
            found.contribution[:, order].T, aspect="auto", extent=edges, cmap=DIVERGING, vmin=-limit, vmax=limit,
            interpolation="nearest",
        )  # fmt: skip
        step = max(1, len(order) // 24)
        upper.set_yticks(range(0, len(order), step), [channels[k] for k in order[::step]], fontsize=7)
        upper.set_ylabel("electrodes, front to back")
        upper.axvline(0, color=CHANCE, linewidth=1, linestyle=(0, (2, 2)))
        figure.colorbar(image, ax=upper, label="contribution (s.d.)", pad=0.01)
        _zero(lower)
        lower.fill_between(1e3 * times_s, 0, found.contribution.sum(axis=1), color=COLOURS[0], alpha=0.6, linewidth=0)
        lower.set(xlabel=_ZERO_MS, ylabel="sum")
    return made
