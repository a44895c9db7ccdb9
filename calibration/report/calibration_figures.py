"""The report's figures, each a PNG image."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from calibration.maps.montage import Montage
from calibration.report.figure import CHANCE, NULL, SIGNAL, blank, png_of
from calibration.report.topomaps import scores_on_the_head
from calibration.scores.breakdown import PartialScore
from calibration.scores.learning_curve import Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FEW, _BEST = 16, 12


class Canvas:
    """One figure under construction; `png` is its image once the block that made it has ended."""

    def __init__(self, figure: Figure) -> None:
        self.figure = figure
        self.png = b""

    @cached_property
    def axes(self) -> Axes:
        """The only axes of a figure that has one pair."""
        return self.figure.add_subplot()


@contextmanager
def _canvas(width: float = 4.8, height: float = 2.6) -> Iterator[Canvas]:
    """Yield a canvas of `width` × `height` inches."""
    with blank(width, height) as figure:
        canvas = Canvas(figure)
        yield canvas
        canvas.png = png_of(figure)


def picture(image: NDArray[np.uint8], size: int = 96) -> bytes:
    """Return an RGB picture ``[height, width, 3]`` shrunk to `size` pixels."""
    from PIL import Image

    shrunk = Image.fromarray(image)
    shrunk.thumbnail((size, size))
    buffer = io.BytesIO()
    shrunk.save(buffer, format="PNG")
    return buffer.getvalue()


def _chance(axes: Axes) -> None:
    axes.axhline(0.5, color=CHANCE, linewidth=1, linestyle=(0, (4, 3)))
    axes.annotate("chance", (1.01, 0.5), xycoords=("axes fraction", "data"), color=CHANCE, va="center")


def against_chance(rows: Sequence[tuple[str, float, tuple[float, float] | None, float]], label: str) -> bytes:
    """Draw scores as dots with intervals; each row is a name, the score, its interval and its chance level."""
    with _canvas(width=6.4, height=0.7 + 0.38 * len(rows)) as canvas:
        axes = canvas.axes
        for place, (name, value, interval, chance) in enumerate(reversed(rows)):
            colour = NULL if "before" in name else SIGNAL
            if interval is not None:
                axes.plot(interval, [place, place], color=colour, linewidth=2.5, solid_capstyle="butt", alpha=0.45)
            axes.plot(value, place, "o", color=colour, markersize=7)
            axes.plot([chance, chance], [place - 0.3, place + 0.3], color=CHANCE, linewidth=1.5)
            axes.annotate(f"{value:.3f}", (value, place), (0, 7), textcoords="offset points", ha="center", color=colour)
        axes.set_yticks(range(len(rows)), [row[0] for row in reversed(rows)])
        axes.set(xlabel=label, xlim=(0, 1), ylim=(-0.6, len(rows) - 0.3))
    return canvas.png


def curve(parts: Sequence[PartialScore], label: str, mark_s: float | None = None) -> bytes:
    """Draw scores along the window; each dot stands at the middle of its stretch.

    Parameters
    ----------
    parts
        Scores with their intervals, each at its time in seconds.
    label
        What the score is, for the axis.
    mark_s
        Time to mark by a line, in seconds after onset.
    """
    with _canvas() as canvas:
        axes = canvas.axes
        at = 1e3 * np.array([part.at for part in parts])
        axes.fill_between(at, [p.low for p in parts], [p.high for p in parts], color=SIGNAL, alpha=0.2, linewidth=0)
        axes.plot(at, [p.score for p in parts], "o-", color=SIGNAL)
        if mark_s is not None:
            axes.axvline(1e3 * mark_s, color=CHANCE, linewidth=1)
        _chance(axes)
        axes.set(xlabel="middle of the stretch, ms after onset", ylabel=label)
    return canvas.png


def by_electrode(parts: Sequence[PartialScore], label: str) -> bytes:
    """Draw the electrodes' scores, best first; many of them on the head, with the best ones beside it."""
    ranked = sorted(parts, key=lambda part: -part.score)
    montage = Montage.of([part.name for part in parts])
    if len(parts) <= _FEW or not montage.drawable:
        with _canvas() as canvas:
            _ranked(canvas.axes, ranked[:_FEW], label)
        return canvas.png
    with _canvas(width=6.4, height=3.3) as canvas:
        left, right = canvas.figure.subplots(1, 2, width_ratios=(1.2, 1))
        image = scores_on_the_head(
            left,
            np.array([part.score for part in parts]),
            montage,
            np.array([part.low > 0.5 for part in parts]),
            (0.5, max(0.55, ranked[0].score)),
        )
        canvas.figure.colorbar(image, ax=left, location="bottom", shrink=0.7, label=label)
        _ranked(right, ranked[:_BEST], label)
    return canvas.png


def _ranked(axes: Axes, ranked: Sequence[PartialScore], label: str) -> None:
    places = np.arange(len(ranked))
    axes.hlines(places, [p.low for p in ranked], [p.high for p in ranked], color=SIGNAL, linewidth=2.5, alpha=0.45)
    axes.plot([p.score for p in ranked], places, "o", color=SIGNAL)
    axes.axvline(0.5, color=CHANCE, linewidth=1, linestyle=(0, (4, 3)))
    axes.annotate("chance", (0.5, 1.01), xycoords=("data", "axes fraction"), color=CHANCE, ha="center", va="bottom")
    axes.set_yticks(places, [p.name for p in ranked])
    axes.invert_yaxis()
    axes.set_xlabel(label)


def alphas(values: Sequence[float], errors: Sequence[float], chosen: float, by_fold: Sequence[float]) -> bytes:
    """Draw the held-out error along alpha, the chosen one marked, and what each fold chose for itself.

    Parameters
    ----------
    values, errors
        Alphas, and the held-out error of each as a share of the variance.
    chosen
        The alpha that was taken.
    by_fold
        What each fold chose for itself.
    """
    from matplotlib.ticker import LogLocator

    with _canvas() as canvas:
        axes = canvas.axes
        axes.semilogx(values, errors, "o-", color=SIGNAL)
        axes.xaxis.set_major_locator(LogLocator(numticks=6))
        axes.xaxis.set_major_formatter("{x:g}")  # the usual one writes formulas, which the style does not read
        axes.axvline(chosen, color=SIGNAL, linewidth=1)
        bottom = axes.get_ylim()[0]
        for place, alpha in enumerate(sorted(by_fold)):
            axes.plot(alpha * 1.06**place, bottom, "|", color=NULL, markersize=10, clip_on=False)
        axes.axhline(1.0, color=CHANCE, linewidth=1, linestyle=(0, (4, 3)))
        axes.annotate("the mean", (1.01, 1), xycoords=("axes fraction", "data"), color=CHANCE, va="center")
        axes.set(xlabel="alpha", ylabel="held-out squared error\n(share of variance)")
    return canvas.png


def learning(points: Sequence[Point], label: str) -> bytes:
    """Draw the score against the number of trials learned from."""
    with _canvas() as canvas:
        axes = canvas.axes
        n = [point.n for point in points]
        axes.fill_between(n, [p.low for p in points], [p.high for p in points], color=SIGNAL, alpha=0.2, linewidth=0)
        axes.plot(n, [point.score for point in points], "o-", color=SIGNAL)
        _chance(axes)
        axes.set(xlabel="trials learned from", ylabel=label, xlim=(0, None))
    return canvas.png


def reliability(points: Sequence[tuple[float, float, int]]) -> bytes:
    """Draw the share that was right against the confidence that was told."""
    with _canvas(width=3.6, height=3.2) as canvas:
        axes = canvas.axes
        said, right, n = np.array(points).T
        axes.plot([0, 1], [0, 1], color=CHANCE, linewidth=1, linestyle=(0, (4, 3)))
        axes.plot(said, right, color=SIGNAL, linewidth=1)
        axes.scatter(said, right, 12 + 140 * n / n.max(), color=SIGNAL, zorder=3)
        axes.set(xlabel="confidence told", ylabel="share right", xlim=(0, 1), ylim=(-0.02, 1.02), aspect="equal")
    return canvas.png


def evidence(values: NDArray[np.float64], positive: NDArray[np.bool_], names: Sequence[str]) -> bytes:
    """Draw how the held-out evidence of two classes is spread.

    Parameters
    ----------
    values
        ``[trials]``: evidence for the second class over the first.
    positive
        ``[trials]``: whether the trial is of the second.
    names
        The two classes.
    """
    with _canvas() as canvas:
        axes = canvas.axes
        low, high = np.quantile(values, [0.005, 0.995])
        edges = np.linspace(float(low), float(high), 32)
        for chosen, name, colour in ((~positive, names[0], NULL), (positive, names[1], SIGNAL)):
            axes.hist(values[chosen], edges.tolist(), density=True, color=colour, alpha=0.5, label=name)
        axes.legend(frameon=False)
        axes.set(xlabel=f"evidence for {names[1]} over {names[0]} (arbitrary units)", yticks=[])
    return canvas.png
