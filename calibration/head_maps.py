"""Heads drawn with mne on the true montage: one, and sheets of them over time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from calibration.drawn import COLOURS, DIVERGING, SEQUENTIAL
from calibration.montage import Montage

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

STEP_S = 0.02
"""From one head of a sheet to the next."""
FAINT = 0.22
"""Opacity of what is not significant."""
_FEW = 16
"""Up to so many electrodes are drawn as dots: between them a surface is a guess."""
_IN_A_LINE = 16
_RESOLUTION = 40


def head(axes: Axes, values: Array, montage: Montage, limit: float, sure: Mask | None = None) -> None:
    """Draw values ``[channels]`` from `-limit` to `limit` over a head, pale where not `sure`."""
    placed = montage.placed
    image = surface(axes, values[placed], montage, limit)
    inside = np.ones(len(placed), np.bool_) if sure is None else sure[placed]
    if inside.all():
        return
    if not inside.any():
        image.set_alpha(FAINT)
        return
    limits = axes.get_xlim(), axes.get_ylim()
    share = surface(axes, inside.astype(np.float64), montage, 1.0, outlines=None, dots=False)
    field = np.clip(np.ma.filled(share.get_array(), 0.0), 0.0, 1.0)
    share.remove()
    axes.set(xlim=limits[0], ylim=limits[1])
    image.set_alpha(FAINT + (1 - FAINT) * field)


def surface(
    axes: Axes, values: Array, montage: Montage, limit: float, outlines: str | None = "head", dots: bool = True
) -> Any:
    """Draw values ``[placed]`` over a head, dots where there are few electrodes, and return the image."""
    from mne.viz import plot_topomap

    image, _ = plot_topomap(
        values,
        montage.info,
        axes=axes,
        show=False,
        sensors="k." if dots and len(montage.placed) <= _FEW else False,
        contours=0,
        outlines=outlines,
        cmap=DIVERGING,
        vlim=(-limit, limit),
        res=_RESOLUTION,
        extrapolate="head",
    )
    for line in axes.lines:
        line.set_linewidth(0.6)
    return image


def scores_on_the_head(axes: Axes, values: Array, montage: Montage, sure: Mask, limits: tuple[float, float]) -> Any:
    """Draw scores ``[channels]`` over a head, a ring around each electrode that is `sure`, and return the image."""
    from mne.viz import plot_topomap

    placed = montage.placed
    image, _ = plot_topomap(
        np.maximum(values[placed], limits[0]),
        montage.info,
        axes=axes,
        show=False,
        cmap=SEQUENTIAL,
        vlim=limits,
        contours=0,
        sensors=False,
        mask=sure[placed],
        mask_params={"marker": "o", "markerfacecolor": "none", "markeredgecolor": COLOURS[1], "markersize": 4},
    )
    return image


def outline(axes: Axes, montage: Montage) -> None:
    """Draw an empty head."""
    surface(axes, np.zeros(len(montage.placed)), montage, 1.0, dots=False).set_alpha(0.0)


def spots(montage: Montage) -> Array:
    """Return where mne draws the electrodes, ``[placed, 2]``: read from a drawing, so that dots and surfaces agree."""
    from matplotlib.figure import Figure
    from mne.viz import plot_topomap

    axes = Figure().add_subplot()
    plot_topomap(np.zeros(len(montage.placed)), montage.info, axes=axes, show=False, contours=0, outlines=None)
    drawn: Array = np.concatenate([np.asarray(dots.get_offsets()) for dots in axes.collections])
    return drawn


def colour_bar(figure: Figure, place: tuple[float, float, float, float], limit: float, unit: str) -> None:
    """Draw the scale of `head` at `place`: left, bottom, width and height as shares of the figure."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    bar = figure.colorbar(ScalarMappable(Normalize(-limit, limit), DIVERGING), cax=figure.add_axes(place))
    bar.set_ticks([-limit, 0, limit], labels=[f"−{limit:.2g}", "0", f"{limit:.2g}"])
    bar.ax.tick_params(labelsize=7)
    bar.ax.set_title(unit, fontsize=7.5)


@dataclass(frozen=True)
class Sheet:
    """Heads every 20 ms, a row a name; after sixteen of them the rows go on in the next line. Sizes are in inches.

    Attributes
    ----------
    names
        Of the rows, written at the left.
    times_s
        ``[times]``.
    foot
        Room for the caption.
    """

    names: Sequence[str]
    times_s: Array
    foot: float

    SIDE, GAP, LEFT, TOP, RIGHT = 0.68, 0.28, 1.35, 0.45, 0.75

    @cached_property
    def samples(self) -> list[int]:
        """The samples nearest to every 20 ms, as far as there are any."""
        half = 0.5 * float(self.times_s[1] - self.times_s[0])
        wanted = np.arange(round(self.times_s[0] / STEP_S), round(self.times_s[-1] / STEP_S) + 1) * STEP_S
        nearest = [int(np.abs(self.times_s - at).argmin()) for at in wanted]
        return [k for k, at in zip(nearest, wanted, strict=True) if abs(self.times_s[k] - at) <= half + 1e-9]

    @property
    def width(self) -> float:
        """Of the figure."""
        return self.width_of(self.times_s)

    @classmethod
    def width_of(cls, times_s: Array) -> float:
        """Return the width of any sheet over these times: it does not hang on the rows."""
        return cls.LEFT + min(_IN_A_LINE, len(cls((), times_s, 0).samples)) * cls.SIDE + cls.RIGHT

    @property
    def height(self) -> float:
        """Of the figure."""
        lines = -(-len(self.samples) // _IN_A_LINE)
        return self.TOP + self.foot + lines * (len(self.names) * self.SIDE + self.GAP)

    def cells(self, figure: Figure) -> Iterator[tuple[int, int, Axes]]:
        """Write names and times, and yield the row, sample and axes of each head."""
        width, height, side = self.width, self.height, self.SIDE
        for first in range(0, len(self.samples), _IN_A_LINE):
            top = height - self.TOP - self.GAP
            top -= first // _IN_A_LINE * (len(self.names) * side + self.GAP)
            for column, sample in enumerate(self.samples[first : first + _IN_A_LINE]):
                x = self.LEFT + column * side
                text = f"{1e3 * self.times_s[sample]:.0f}" + (" ms" if not column else "")
                figure.text((x + side / 2) / width, (top + 0.05) / height, text, ha="center", fontsize=7.5)
                for row in range(len(self.names)):
                    y = top - (row + 1) * side
                    yield row, sample, figure.add_axes((x / width, y / height, side / width, side / height))
            for row, name in enumerate(self.names):
                y = top - (row + 0.5) * side
                figure.text((self.LEFT - 0.1) / width, y / height, name, ha="right", va="center", fontsize=7.5)

    def scale(self, figure: Figure, limit: float, unit: str) -> None:
        """Draw the colour scale at the right."""
        width, height = self.width, self.height
        tall = min(1.6, 0.6 * (height - self.TOP - self.foot))
        middle = (self.foot + height - self.TOP) / 2
        place = ((width - 0.6) / width, (middle - tall / 2) / height, 0.12 / width, tall / height)
        colour_bar(figure, place, limit, unit)
