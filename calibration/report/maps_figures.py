"""The maps drawn: heads over time, electrodes × time, and time courses.

Only what the cluster test calls significant has full colour; the rest is there, but pale.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from calibration.maps.maps import AttributeMap, Maps
from calibration.report.figure import (
    CHANCE,
    COLOURS,
    DIVERGING,
    INK,
    SEQUENTIAL,
    SIGNAL,
    Drawn,
    caption_height,
    drawing,
)
from calibration.report.page import p_is
from calibration.report.topomaps import FAINT, HEAD, Scalp, Sheet, colour_bar, head, inches, outline

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[np.float64]

_AFTER = "ms after onset"
_NAMED = {
    "red": "#d55e00", "orange": "#e69f00", "yellow": "#e69f00", "green": "#009e73", "cyan": "#56b4e9",
    "blue": "#0072b2", "purple": "#7f3c8d", "pink": "#cc79a7",
}  # fmt: skip
"""A level that is named after a colour has the colour of `calibration.report.figure` that is most like it."""


def attribute_figures(found: AttributeMap, maps: Maps) -> Iterator[tuple[str, Drawn]]:
    """Yield the figures of an attribute that can be drawn, each with its kind.

    Kinds are ``heads``, ``filtered``, ``winner``, ``views`` and ``courses``.
    """
    if maps.montage.drawable:
        yield "heads", heads(found, maps, "heads", found.measured, "EEG as measured")
        if found.filtered is not None:
            yield "filtered", heads(found, maps, "filtered", found.filtered, "latent-filtered EEG")
        if len(found.attribute.levels) > 2:
            yield "winner", winner(found, maps)
        if found.filtered is not None and found.decoder is not None:
            yield "views", views(found, maps)
    yield "courses", courses(found, maps)


def differences(found: AttributeMap, patterns: Array) -> list[tuple[str, Array]]:
    """Return what is drawn of an attribute: rows of a name and ``[times, channels]`` in microvolts.

    Two categories stand beside their difference, more of them as they differ from all together; on a scale and around a
    circle only differences between opposite ends are drawn, because one end is the other's mirror image.
    """
    levels = found.attribute.levels
    if found.attribute.kind == "categorical":
        names = [f"{_lines(level)}\n(n = {count})" for level, count in zip(levels, found.counts, strict=True)]
        rows = list(zip(names, patterns, strict=True))
        if len(levels) == 2:
            first, second = (level.split(" (")[0] for level in levels)
            rows.append((f"{_lines(second)}\n− {_lines(first)}", patterns[1] - patterns[0]))
        return rows
    if found.attribute.kind == "circular":
        return [(f"{levels[k]}\n− {levels[k + 2]}", patterns[k] - patterns[k + 2]) for k in (0, 1)]
    return [(f"{_lines(levels[1])}\n− {_lines(levels[0])}", patterns[1] - patterns[0])]


def caption(found: AttributeMap, maps: Maps, what: str, else_drawn: str = "Pale") -> str:
    """Return n, what was averaged and the statistic, for the foot of every figure.

    Parameters
    ----------
    found
        The attribute's map and its test.
    maps
        All maps: how many units of what stand behind them.
    what
        What is drawn.
    else_drawn
        How what is not significant is drawn.
    """
    scale = {"categorical": "mean of a level less the mean of all", "circular": "cosine and sine regression"}
    how = scale.get(found.attribute.kind, "regression; the ends are one standard deviation from the mean")
    return (
        f"{_n(maps)}; {what}: {how}, other attributes taken out; compared are "
        f"{found.compared}. "
        f"Cluster permutation test over electrodes × time, {found.test.name}, clusters from "
        f"{abs(found.test.threshold):.3g}, {found.test.permutations} permutations, smallest {p_is(found.test.p)}. "
        f"{else_drawn}: not significant."
    )


def heads(found: AttributeMap, maps: Maps, kind: str, patterns: Array, what: str) -> Drawn:
    """Draw head maps every 20 ms, a row a level or difference.

    Parameters
    ----------
    found
        The attribute's map and its test.
    maps
        All maps: times and montage.
    kind
        Kind of pattern, for the name of the file.
    patterns
        ``[levels, times, channels]``, µV.
    what
        What is drawn, for title and caption.
    """
    rows = differences(found, patterns)
    limit = _limit(row for _, row in rows)
    note = caption(found, maps, what)
    sheet = Sheet([name for name, _ in rows], maps.times_s, caption_height(note, Sheet.width_of(maps.times_s)))
    with drawing(_file(found, kind), _title(found, what), note, sheet.width, sheet.height, placed=True) as (
        figure,
        made,
    ):
        axes = inches(figure)
        for row, sample, centre in sheet.cells(axes):
            sure = found.test.significant[sample]
            head(axes, rows[row][1][sample], maps.montage, limit, sure, centre, HEAD * sheet.SIDE)
        sheet.scale(figure, limit, "µV")
    return made


def winner(found: AttributeMap, maps: Maps) -> Drawn:
    """Draw for each electrode which level is the most negative there, every 20 ms; grey where nothing is certain."""
    from matplotlib.lines import Line2D

    note = caption(found, maps, "EEG as measured, the level that is the most negative at an electrode", "Grey")
    sheet = Sheet(["most\nnegative"], maps.times_s, 0.3 + caption_height(note, Sheet.width_of(maps.times_s)))
    levels, placed = found.attribute.levels, maps.montage.placed
    scalp = Scalp.of(maps.montage)
    with drawing(_file(found, "winner"), _title(found, "winner map"), note, sheet.width, sheet.height, placed=True) as (
        figure,
        made,
    ):
        axes, side = inches(figure), HEAD * sheet.SIDE
        for _, sample, centre in sheet.cells(axes):
            outline(axes, maps.montage, centre, side)
            x, y = scalp.place(scalp.spots, centre, side).T
            best = found.measured[:, sample, placed].argmin(axis=0)
            sure = found.test.significant[sample, placed]
            colours = np.array([_colour(levels[place], place) for place in best])
            axes.scatter(x[sure], y[sure], s=9, c=colours[sure].tolist(), linewidths=0, zorder=5)
            axes.scatter(x[~sure], y[~sure], s=1.5, c=CHANCE, alpha=0.5, linewidths=0, zorder=4)
        dots = [
            Line2D([], [], marker="o", linestyle="", color=_colour(level, place), label=level)
            for place, level in enumerate(levels)
        ]
        figure.legend(
            handles=dots, loc="lower center", bbox_to_anchor=(0.5, (sheet.foot - 0.3) / sheet.height),
            ncols=min(len(levels), 8), frameon=False, fontsize=8,
        )  # fmt: skip
    return made


def views(found: AttributeMap, maps: Maps) -> Drawn:
    """Draw three views of the peak side by side: measured, latent-filtered, and the decoder's patterns."""
    sample = found.peak[0]
    kinds = [("measured", found.measured), ("latent-filtered", found.filtered), ("decoder (Haufe)", found.decoder)]
    tables = [(name, differences(found, values)) for name, values in kinds if values is not None]
    count = len(tables[0][1])
    left, right, top, side = 1.25, 0.8, 0.95, 1.35
    width = max(7.0, left + count * side + right)
    note = caption(found, maps, "the moment at which levels differ most")
    foot = caption_height(note, width)
    height = top + len(tables) * side + foot
    title = _title(found, f"{1e3 * maps.times_s[sample]:.0f} ms after onset")
    with drawing(_file(found, "views"), title, note, width, height, placed=True) as (figure, made):
        axes = inches(figure)
        for line, (name, rows) in enumerate(tables):
            limit = _limit(row[[sample]] for _, row in rows)
            y = height - top - (line + 1) * side
            axes.text(left - 0.1, y + side / 2, name, ha="right", va="center", fontsize=8)
            for column, (label, row) in enumerate(rows):
                centre = (left + (column + 0.5) * side, y + side / 2)
                sure = found.test.significant[sample]
                head(axes, row[sample], maps.montage, limit, sure, centre, HEAD * side)
                if not line:
                    axes.text(centre[0], y + side + 0.05, label, ha="center", va="bottom", fontsize=7.5)
            x = left + count * side + 0.15
            colour_bar(figure, (x / width, (y + 0.2) / height, 0.1 / width, (side - 0.4) / height), limit, "µV")
    return made


def courses(found: AttributeMap, maps: Maps) -> Drawn:
    """Draw the statistic for every electrode and moment, and the levels' time courses at the peak electrodes."""
    channels, peak = maps.montage.channels, found.peak[1]
    at, test = 1e3 * maps.times_s, found.test
    limit = float(np.abs(test.statistic).max())
    height = max(3.8, 1.8 + 0.105 * len(channels))
    note = caption(found, maps, "EEG as measured")
    with drawing(_file(found, "courses"), _title(found, "when and where"), note, 11.5, height) as (figure, made):
        grid = figure.add_gridspec(len(peak), 2, width_ratios=(1.25, 1))
        axes = figure.add_subplot(grid[:, 0])
        scale: Any = {"cmap": DIVERGING, "vmin": -limit} if test.signed else {"cmap": SEQUENTIAL, "vmin": 0.0}
        image = _by_electrode(axes, test.statistic, maps, vmax=limit, **scale)
        image.set_alpha(np.where(test.significant, 1.0, FAINT).T.tolist())
        axes.set_title(f"every electrode: {test.name}", loc="left", fontsize=9)
        figure.colorbar(image, ax=axes, pad=0.01, shrink=0.6)
        for line, channel in enumerate(peak):
            panel = figure.add_subplot(grid[line, 1])
            _levels(panel, found, channel, at)
            panel.set_title(channels[channel], loc="left", fontsize=9)
            if line == len(peak) - 1:
                panel.set_xlabel(_AFTER)
            else:
                panel.tick_params(labelbottom=False)
            if not line:
                panel.legend(frameon=False, fontsize=7, ncols=2)
    return made


def explained(maps: Maps) -> Drawn:
    """Draw how much of the EEG the embedding explains at every electrode and moment, beside the noise ceiling.

    Raises
    ------
    ValueError
        If the maps were made without embeddings.
    """
    if maps.model is None:
        msg = "there is no forward model: give embeddings to make_maps"
        raise ValueError(msg)
    at, share = 1e3 * maps.times_s, maps.model.explained
    ceiling = "from the repeats of each picture" if maps.ceiling is not None else "n/a: too few pictures repeated"
    note = (
        f"{_n(maps)}; ridge from embeddings to EEG (alpha {maps.model.alpha:g}), each predicted by a model that never "
        f"saw it; share of variance, no test. Noise ceiling {ceiling}."
    )
    height = max(3.6, 1.8 + 0.09 * len(maps.montage.channels))
    with drawing("explained", "What the embedding tells of the EEG", note, 11.5, height) as (figure, made):
        axes, panel = figure.subplots(1, 2)
        image = _by_electrode(axes, np.maximum(share, 0), maps, cmap=SEQUENTIAL, vmin=0)
        axes.set_title("share of variance explained, held out", loc="left", fontsize=9)
        figure.colorbar(image, ax=axes, pad=0.01, shrink=0.6)
        panel.plot(at, share.max(axis=1), color=SIGNAL, label="explained, best electrode")
        panel.plot(at, share.mean(axis=1), color=SIGNAL, linewidth=1, alpha=0.6, label="explained, mean of electrodes")
        if maps.ceiling is not None:
            panel.plot(at, maps.ceiling.max(axis=1), color=INK, linestyle=(0, (4, 2)), label="ceiling, best electrode")
            panel.plot(at, maps.ceiling.mean(axis=1), color=CHANCE, linestyle=(0, (4, 2)), label="ceiling, mean")
        panel.axhline(0, color=CHANCE, linewidth=0.8)
        panel.legend(frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(0.0, 1.0))
        panel.set(xlabel=_AFTER, ylabel="share of variance")
    return made


def _by_electrode(axes: Axes, values: Array, maps: Maps, **scale: Any) -> Any:
    """Draw values ``[times, channels]``, a line an electrode, and return the image."""
    channels = maps.montage.channels
    image = axes.pcolormesh(1e3 * maps.times_s, np.arange(len(channels)), values.T, rasterized=True, **scale)
    axes.set_yticks(range(len(channels)), channels, fontsize=min(8.0, 420 / len(channels)))
    axes.invert_yaxis()
    axes.set_xlabel(_AFTER)
    return image


def _levels(axes: Axes, found: AttributeMap, channel: int, at: Array) -> None:
    sure = found.test.significant[:, channel]
    for place, (level, course) in enumerate(zip(found.attribute.levels, found.measured[:, :, channel], strict=True)):
        colour = _colour(level, place)
        axes.plot(at, course, color=colour, linewidth=1, alpha=0.35)
        axes.plot(at, np.where(sure, course, np.nan), color=colour, linewidth=2, label=level)
    axes.axhline(0, color=CHANCE, linewidth=0.6)
    axes.axvline(at[found.peak[0]], color=CHANCE, linewidth=0.8, linestyle=(0, (2, 2)))
    axes.set_ylabel("µV")


def _n(maps: Maps) -> str:
    made = f" (means over {maps.n_trials} trials)" if maps.units == "pictures" else ""
    return f"{'SIMULATED EEG; ' if maps.simulated else ''}n = {maps.n_units} {maps.units}{made}"


def _title(found: AttributeMap, what: str) -> str:
    return f"{found.attribute.name}: {what}"


def _file(found: AttributeMap, kind: str) -> str:
    """Return a file's name for a figure, whatever characters the manifest's column has."""
    return re.sub(r"[^\w.-]+", "_", f"{found.attribute.name}-{kind}")


def _colour(level: str, place: int) -> str:
    return _NAMED.get(level, COLOURS[place % len(COLOURS)])


def _lines(name: str) -> str:
    return textwrap.fill(name, 21)


def _limit(rows: Iterable[Array]) -> float:
    return max(float(np.abs(np.stack(list(rows))).max()), 1e-9)
