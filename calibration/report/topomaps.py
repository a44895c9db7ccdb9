"""Heads drawn with mne on the true montage: one, and sheets of them over time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from calibration.maps.montage import Montage
from calibration.report.figure import COLOURS, DIVERGING, INK, SEQUENTIAL

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Centre = tuple[float, float]

STEP_S = 0.02
"""Seconds from one head of a sheet to the next."""
FAINT = 0.22
"""Opacity of what is not significant."""
_FEW = 16
"""Up to so many electrodes are drawn as dots: between them a surface is a guess."""
_IN_A_LINE = 16
_PIXELS = 64
HEAD = 0.92
"""Share of a cell's side that a head takes."""


@dataclass(frozen=True)
class Scalp:
    """How mne draws a montage; interpolation is linear, so that drawings of single electrodes add up to any map.

    Attributes
    ----------
    shares
        float32 ``[placed, height, width]``: what each electrode adds to each pixel.
    inside
        ``[height, width]``: opacity, 1 on the head and 0 around it.
    extent
        Left, right, bottom and top of the pixels.
    outlines
        Head, nose and ears, each ``[points, 2]``.
    spots
        ``[placed, 2]``: the electrodes.
    """

    shares: NDArray[np.float32]
    inside: Array
    extent: tuple[float, float, float, float]
    outlines: tuple[Array, ...]
    spots: Array

    @classmethod
    def of(cls, montage: Montage) -> Scalp:
        """Return the drawing of a montage, which is made once for each set of electrodes."""
        return _scalp(tuple(montage.channels[place] for place in montage.placed))

    def place(self, points: Array, centre: Centre, side: float) -> Array:
        """Return points ``[n, 2]`` moved from the montage's own plane onto a drawn head.

        Parameters
        ----------
        points
            ``[n, 2]`` in the montage's plane.
        centre
            x and y of the drawn head.
        side
            Its width, in the units of the axes.
        """
        placed: Array = np.asarray(centre) + side / (self.extent[1] - self.extent[0]) * points
        return placed


@cache
def _scalp(names: tuple[str, ...]) -> Scalp:
    from matplotlib.figure import Figure
    from mne.viz import plot_topomap

    info, shares = Montage.of(names).info, []
    for unit in np.eye(len(names)):
        axes = Figure().add_subplot()
        image, _ = plot_topomap(unit, info, axes=axes, show=False, contours=0, res=_PIXELS, extrapolate="head")
        shares.append(np.ma.filled(image.get_array(), 0.0).astype(np.float32))
    left, right, bottom, top = map(float, image.get_extent())
    fine = 4 * _PIXELS
    x, y = (np.linspace(low, high, 2 * fine + 1)[1::2] for low, high in ((left, right), (bottom, top)))
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    path = image.get_clip_path().get_fully_transformed_path()
    within = path.contains_points(image.axes.transData.transform(grid))
    inside = within.reshape(_PIXELS, 4, _PIXELS, 4).mean(axis=(1, 3))
    dots = np.concatenate([np.asarray(each.get_offsets(), np.float64) for each in axes.collections])
    lines = tuple(np.asarray(line.get_xydata(), np.float64) for line in axes.lines)
    return Scalp(np.array(shares), inside, (left, right, bottom, top), lines, dots)


def head(
    axes: Axes,
    values: Array,
    montage: Montage,
    limit: float,
    sure: Mask,
    centre: Centre,
    side: float,
) -> None:
    """Draw values over a head, pale where they are not significant; see `inches`.

    Parameters
    ----------
    axes
        Where to draw.
    values
        ``[channels]``.
    montage
        Where the electrodes are.
    limit
        Value of the strongest colour, in both directions.
    sure
        ``[channels]``: whether the value is significant.
    centre
        x and y of the head, in the units of the axes.
    side
        Its width, in the units of the axes.
    """
    from matplotlib import colormaps

    scalp, placed = Scalp.of(montage), montage.placed
    field = np.tensordot(values[placed], scalp.shares, axes=1)
    share = np.clip(np.tensordot(sure[placed].astype(np.float64), scalp.shares, axes=1), 0.0, 1.0)
    pixels = colormaps[DIVERGING](0.5 + 0.5 * np.clip(field / limit, -1.0, 1.0))
    pixels[..., 3] = scalp.inside * (FAINT + (1 - FAINT) * share)
    left, right, bottom, top = scalp.extent
    low, high = scalp.place(np.array([[left, bottom], [right, top]]), centre, side)
    axes.imshow(
        pixels, extent=(low[0], high[0], low[1], high[1]), origin="lower", aspect="auto", interpolation="bilinear"
    )
    outline(axes, montage, centre, side)
    if len(placed) <= _FEW:
        axes.plot(*scalp.place(scalp.spots, centre, side).T, "k.", markersize=3)


def outline(axes: Axes, montage: Montage, centre: Centre, side: float) -> None:
    """Draw an empty head.

    Parameters
    ----------
    axes
        Where to draw.
    montage
        Whose head it is.
    centre
        x and y of the head, in the units of the axes.
    side
        Its width, in the units of the axes.
    """
    from matplotlib.collections import LineCollection

    scalp = Scalp.of(montage)
    lines = [scalp.place(line, centre, side) for line in scalp.outlines]
    axes.add_collection(LineCollection(lines, colors=INK, linewidths=0.6), autolim=False)


def inches(figure: Figure) -> Axes:
    """Return axes over the whole figure on which everything is placed in inches from the lower left corner."""
    width, height = figure.get_size_inches()
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    axes.set(xlim=(0, width), ylim=(0, height), autoscale_on=False)
    return axes


def scores_on_the_head(axes: Axes, values: Array, montage: Montage, sure: Mask, limits: tuple[float, float]) -> Any:
    """Draw scores over a head, a ring around each electrode whose score is significant, and return the image.

    Parameters
    ----------
    axes
        Where to draw.
    values
        ``[channels]``.
    montage
        Where the electrodes are.
    sure
        ``[channels]``: whether the score is significant.
    limits
        Values of the weakest and of the strongest colour.
    """
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


def colour_bar(figure: Figure, place: tuple[float, float, float, float], limit: float, unit: str) -> None:
    """Draw the colour scale of `head`.

    Parameters
    ----------
    figure
        Where to draw.
    place
        Left, bottom, width and height as shares of the figure.
    limit
        Value of the strongest colour, in both directions.
    unit
        Unit of the values.
    """
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
        Names of the rows, written at the left.
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

    def cells(self, axes: Axes) -> Iterator[tuple[int, int, Centre]]:
        """Write names and times on `inches`, and yield the row, sample and centre of each head."""
        side = self.SIDE
        for first in range(0, len(self.samples), _IN_A_LINE):
            top = self.height - self.TOP - self.GAP
            top -= first // _IN_A_LINE * (len(self.names) * side + self.GAP)
            for column, sample in enumerate(self.samples[first : first + _IN_A_LINE]):
                x = self.LEFT + (column + 0.5) * side
                text = f"{1e3 * self.times_s[sample]:.0f}" + (" ms" if not column else "")
                axes.text(x, top + 0.05, text, ha="center", fontsize=7.5)
                for row in range(len(self.names)):
                    yield row, sample, (x, top - (row + 0.5) * side)
            for row, name in enumerate(self.names):
                axes.text(self.LEFT - 0.1, top - (row + 0.5) * side, name, ha="right", va="center", fontsize=7.5)

    def scale(self, figure: Figure, limit: float, unit: str) -> None:
        """Draw the colour scale at the sheet's right.

        Parameters
        ----------
        figure
            The sheet's figure.
        limit
            Value of the strongest colour, in both directions.
        unit
            Unit of the values.
        """
        width, height = self.width, self.height
        tall = min(1.6, 0.6 * (height - self.TOP - self.foot))
        middle = (self.foot + height - self.TOP) / 2
        place = ((width - 0.6) / width, (middle - tall / 2) / height, 0.12 / width, tall / height)
        colour_bar(figure, place, limit, unit)
