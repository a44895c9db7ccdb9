"""The maps drawn: heads on the true montage, electrodes × time, and time courses.

Only what the cluster test calls significant has full colour; the rest is there, but pale. Red and blue of the signed
scale and the levels' colours (Okabe & Ito 2008) can be told apart by colour-blind readers.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from calibration.figures import CHANCE, INK, SIGNAL
from calibration.maps import AttributeMap, Maps

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

STEP_S = 0.02
LEVEL_COLOURS = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9",
    "#000000", "#B8A800", "#7F3C8D", "#80BA5A", "#8C564B", "#9A9A9A",
)  # fmt: skip
SIGNED = "RdBu_r"
FORMATS = ("png", "svg", "pdf")
_FAINT = 0.22
_DOT = "k."
"""Few electrodes are drawn as dots: between them a surface is a guess."""
_A_ROW = 16
_RESOLUTION = 40
_STYLE: Any = {"font.family": "DejaVu Sans", "font.size": 8, "svg.fonttype": "none", "text.color": INK}


def save_figures(found: AttributeMap, maps: Maps, folder: Path) -> dict[str, bytes]:
    """Draw all figures of an attribute into `folder`, each as PNG, SVG and PDF.

    Returns
    -------
    The PNG of each figure by its kind: ``heads``, ``filtered``, ``winner``, ``views``, ``courses``; those that cannot
    be drawn are left out.
    """
    return {
        kind: save(figure, folder / f"{found.attribute.name}-{kind}") for kind, figure in attribute_figures(found, maps)
    }


def attribute_figures(found: AttributeMap, maps: Maps) -> Iterator[tuple[str, Figure]]:
    """Yield the figures of an attribute with the name of their kind."""
    if maps.montage.drawable:
        yield "heads", heads(found, maps, found.measured, "EEG as measured")
        if found.filtered is not None:
            yield "filtered", heads(found, maps, found.filtered, "latent-filtered EEG")
        if len(found.attribute.levels) > 2:
            yield "winner", winner(found, maps)
        if found.filtered is not None and found.decoder is not None:
            yield "views", views(found, maps)
    yield "courses", courses(found, maps)


def save(figure: Figure, stem: Path) -> bytes:
    """Write a figure as PNG, SVG and PDF, each whole or not at all; return the PNG."""
    from matplotlib import rc_context

    content = b""
    stem.parent.mkdir(parents=True, exist_ok=True)
    with rc_context(_STYLE):
        for kind in FORMATS:
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, dpi=130)
            part = stem.with_name(f"{stem.name}.{kind}.part")
            part.write_bytes(buffer.getvalue())
            part.replace(stem.with_name(f"{stem.name}.{kind}"))
            content = buffer.getvalue() if kind == "png" else content
    return content


def differences(found: AttributeMap, patterns: Array) -> list[tuple[str, Array]]:
    """Return what is drawn of an attribute: rows of a name and ``[times, channels]`` in microvolts.

    Two categories stand beside their difference, more of them as they differ from all together; on a scale and around a
    circle only differences between opposite ends are drawn, because one end is the other's mirror image.
    """
    levels = found.attribute.levels
    if found.attribute.kind == "categorical":
        names = [f"{level}\n(n = {count})" for level, count in zip(levels, found.counts, strict=True)]
        rows = list(zip(names, patterns, strict=True))
        return [*rows, (f"{levels[1]}\n− {levels[0]}", patterns[1] - patterns[0])] if len(levels) == 2 else rows
    if found.attribute.kind == "circular":
        return [(f"{levels[k]}\n− {levels[k + 2]}", patterns[k] - patterns[k + 2]) for k in (0, 1)]
    return [(f"{levels[1]}\n− {levels[0]}", patterns[1] - patterns[0])]


def caption(found: AttributeMap, maps: Maps, what: str) -> str:
    """Return n, what was averaged and the statistic, for the foot of every figure."""
    made = f" of {maps.n_trials} trials" if maps.units == "pictures" else ""
    scale = {"categorical": "mean of a level less the mean of all", "circular": "cosine and sine regression"}
    how = scale.get(found.attribute.kind, "regression; the ends are one standard deviation from the mean")
    p = f"p = {found.test.p:.3g}"
    simulated = "SIMULATED EEG. " if maps.simulated else ""
    return (
        f"{simulated}{what}, {maps.n_units} {maps.units}{made}: {how}, other attributes taken out. "
        f"Cluster permutation test over electrodes × time, {found.test.name}, clusters from "
        f"{abs(found.test.threshold):.3g}, {found.test.permutations} permutations, smallest {p}. "
        "Pale: not significant."
    )


def heads(found: AttributeMap, maps: Maps, patterns: Array, what: str) -> Figure:
    """Draw head maps every 20 ms, a row a level or difference."""
    samples = _every(maps.times_s)
    rows = differences(found, patterns)
    limit = _limit([row for _, row in rows])
    lines = [samples[first : first + _A_ROW] for first in range(0, len(samples), _A_ROW)]
    figure, cells, bar = _grid([name for name, _ in rows], lines, maps, limit, "µV")
    for line, taken in enumerate(lines):
        for place, (_, row) in enumerate(rows):
            for column, sample in enumerate(taken):
                head(cells[line][place][column], row[sample], found.test.significant[sample], maps, limit)
    bar()
    _title(figure, f"{found.attribute.name}: {what}", caption(found, maps, what))
    return figure


def winner(found: AttributeMap, maps: Maps) -> Figure:
    """Draw for each electrode which level is the most negative there, every 20 ms; hollow where nothing is certain."""
    samples = _every(maps.times_s)
    lines = [samples[first : first + _A_ROW] for first in range(0, len(samples), _A_ROW)]
    figure, cells, _ = _grid(["most\nnegative"], lines, maps, 1.0, None)
    levels, placed = found.attribute.levels, maps.montage.placed
    spots = _spots(maps)
    for line, taken in enumerate(lines):
        for column, sample in enumerate(taken):
            axes = cells[line][0][column]
            _outline(axes, maps)
            best = found.measured[:, sample, placed].argmin(axis=0)
            sure = found.test.significant[sample, placed]
            colours = np.array(LEVEL_COLOURS)[best % len(LEVEL_COLOURS)]
            x, y = spots.T
            axes.scatter(x[sure], y[sure], s=9, c=colours[sure].tolist(), linewidths=0, zorder=5)
            axes.scatter(x[~sure], y[~sure], s=1.5, c=CHANCE, alpha=0.5, linewidths=0, zorder=4)
    handles = [_dot(LEVEL_COLOURS[k % len(LEVEL_COLOURS)], level) for k, level in enumerate(levels)]
    figure.legend(handles=handles, loc="upper right", ncols=min(len(levels), 7), frameon=False, fontsize=8)
    _title(figure, f"{found.attribute.name}: winner map", caption(found, maps, "EEG as measured, most negative level"))
    return figure


def views(found: AttributeMap, maps: Maps) -> Figure:
    """Draw three views of the peak side by side: measured, latent-filtered, and the decoder's patterns."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    sample = found.peak[0]
    kinds = [("measured", found.measured), ("latent-filtered", found.filtered), ("decoder (Haufe)", found.decoder)]
    tables = [(name, differences(found, values)) for name, values in kinds if values is not None]
    count = len(tables[0][1])
    with rc_context(_STYLE):
        figure = Figure(figsize=(2.2 + 1.15 * count, 1.4 + 1.25 * len(tables)))
        grid = figure.add_gridspec(
            len(tables), count, left=0.16, right=0.86, bottom=0.2, top=0.8, wspace=0.05, hspace=0.05
        )
        for line, (name, rows) in enumerate(tables):
            limit = _limit([row[[sample]] for _, row in rows])
            for column, (label, row) in enumerate(rows):
                axes = figure.add_subplot(grid[line, column])
                head(axes, row[sample], found.test.significant[sample], maps, limit)
                if not line:
                    axes.set_title(label, fontsize=7)
                if not column:
                    axes.text(-0.15, 0.5, name, transform=axes.transAxes, ha="right", va="center")
            place = axes.get_position()
            _colour_bar(figure, (0.88, place.y0 + 0.1 * place.height, 0.012, 0.8 * place.height), limit, "µV")
        _title(figure, f"{found.attribute.name} at {1e3 * maps.times_s[sample]:.0f} ms", caption(found, maps, "Peak"))
    return figure


def courses(found: AttributeMap, maps: Maps) -> Figure:
    """Draw the statistic for every electrode and moment, and the levels' time courses at the peak electrodes."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    channels, peak = maps.montage.channels, found.peak[1]
    at = 1e3 * maps.times_s
    with rc_context(_STYLE):
        figure = Figure(figsize=(11.5, max(3.6, 1.6 + 0.105 * len(channels))))
        grid = figure.add_gridspec(
            len(peak), 2, left=0.06, right=0.985, bottom=0.2, top=0.88, wspace=0.22, width_ratios=(1.25, 1)
        )
        axes = figure.add_subplot(grid[:, 0])
        signed = found.test.name.startswith("t")
        limit = float(np.abs(found.test.statistic).max())
        image = axes.pcolormesh(
            at,
            np.arange(len(channels)),
            found.test.statistic.T,
            cmap=SIGNED if signed else "cividis_r",
            vmin=-limit if signed else 0.0,
            vmax=limit,
            rasterized=True,
        )
        image.set_alpha(np.where(found.test.significant, 1.0, _FAINT).T.tolist())
        axes.set_yticks(range(len(channels)), channels, fontsize=min(8.0, 420 / max(len(channels), 1)))
        axes.invert_yaxis()
        axes.set(xlabel="ms after onset", title=f"every electrode: {found.test.name}")
        figure.colorbar(image, ax=axes, pad=0.01, shrink=0.6)
        for line, channel in enumerate(peak):
            panel = figure.add_subplot(grid[line, 1])
            _levels(panel, found, channel, at)
            panel.set_title(channels[channel], loc="left", fontsize=8, pad=2)
            if line == len(peak) - 1:
                panel.set_xlabel("ms after onset")
            else:
                panel.tick_params(labelbottom=False)
        panel.legend(frameon=False, fontsize=6.5, ncols=2)
        _title(figure, f"{found.attribute.name}: when and where", caption(found, maps, "EEG as measured"))
    return figure


def explained(maps: Maps) -> Figure:
    """Draw how much of the EEG the embedding explains at every electrode and moment, beside the noise ceiling."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    if maps.model is None:
        msg = "there is no forward model: give embeddings to make_maps"
        raise ValueError(msg)
    channels, at = maps.montage.channels, 1e3 * maps.times_s
    share = maps.model.explained
    with rc_context(_STYLE):
        figure = Figure(figsize=(11.5, max(3.4, 1.6 + 0.09 * len(channels))))
        grid = figure.add_gridspec(1, 2, left=0.06, right=0.985, bottom=0.2, top=0.86, wspace=0.2)
        axes = figure.add_subplot(grid[0, 0])
        image = axes.pcolormesh(
            at, np.arange(len(channels)), np.maximum(share, 0).T, cmap="cividis", vmin=0, rasterized=True
        )
        axes.set_yticks(range(len(channels)), channels, fontsize=min(8.0, 400 / max(len(channels), 1)))
        axes.invert_yaxis()
        axes.set(xlabel="ms after onset", title="share of variance explained, held out")
        figure.colorbar(image, ax=axes, pad=0.01, shrink=0.6)
        panel = figure.add_subplot(grid[0, 1])
        panel.plot(at, share.max(axis=1), color=SIGNAL, label="explained, best electrode")
        panel.plot(at, share.mean(axis=1), color=SIGNAL, linewidth=1, alpha=0.6, label="explained, mean of electrodes")
        if maps.ceiling is not None:
            panel.plot(at, maps.ceiling.max(axis=1), color=INK, linestyle=(0, (4, 2)), label="ceiling, best electrode")
            panel.plot(at, maps.ceiling.mean(axis=1), color=CHANCE, linestyle=(0, (4, 2)), label="ceiling, mean")
        panel.axhline(0, color=CHANCE, linewidth=0.8)
        panel.legend(frameon=False)
        panel.set(xlabel="ms after onset", ylabel="share of variance")
        simulated = "SIMULATED EEG. " if maps.simulated else ""
        ceiling = "from the repeats of each picture" if maps.ceiling is not None else "n/a: too few pictures repeated"
        note = (
            f"{simulated}Ridge from embeddings to EEG (alpha {maps.model.alpha:g}), {maps.n_units} {maps.units} of "
            f"{maps.n_trials} trials, each predicted by a model that never saw it. Noise ceiling {ceiling}."
        )
        _title(figure, "What the embedding tells of the EEG", note)
    return figure


def head(axes: Axes, values: Array, sure: Mask, maps: Maps, limit: float) -> None:
    """Draw one head: `values` ``[channels]`` in full colour where `sure`, else pale."""
    placed = maps.montage.placed
    image = _surface(axes, values[placed], maps, limit)
    inside = sure[placed]
    if inside.all():
        return
    if not inside.any():
        image.set_alpha(_FAINT)
        return
    limits = axes.get_xlim(), axes.get_ylim()
    share = _surface(axes, inside.astype(np.float64), maps, 1.0, outlines=None)
    field = np.clip(np.ma.filled(share.get_array(), 0.0), 0.0, 1.0)
    share.remove()
    axes.set(xlim=limits[0], ylim=limits[1])
    image.set_alpha(_FAINT + (1 - _FAINT) * field)


def _surface(axes: Axes, values: Array, maps: Maps, limit: float, outlines: str | None = "head") -> Any:
    from mne.viz import plot_topomap

    image, _ = plot_topomap(
        values,
        maps.montage.info,
        axes=axes,
        show=False,
        sensors=_DOT if outlines and len(maps.montage.placed) <= _A_ROW else False,
        contours=0,
        outlines=outlines,
        cmap=SIGNED,
        vlim=(-limit, limit),
        res=_RESOLUTION,
        extrapolate="head",
    )
    for line in axes.lines:
        line.set_linewidth(0.6)
    return image


def _outline(axes: Axes, maps: Maps) -> None:
    _surface(axes, np.zeros(len(maps.montage.placed)), maps, 1.0).set_alpha(0.0)


def _spots(maps: Maps) -> Array:
    """Return where mne draws the electrodes, ``[placed, 2]``: read from a drawing, so that dots and surfaces agree."""
    from matplotlib.figure import Figure
    from mne.viz import plot_topomap

    axes = Figure().add_subplot()
    plot_topomap(
        np.zeros(len(maps.montage.placed)), maps.montage.info, axes=axes, show=False, contours=0, outlines=None
    )
    drawn: Array = np.concatenate([np.asarray(dots.get_offsets()) for dots in axes.collections])
    return drawn


def _levels(axes: Axes, found: AttributeMap, channel: int, at: Array) -> None:
    sure = found.test.significant[:, channel]
    for place, (level, course) in enumerate(zip(found.attribute.levels, found.measured[:, :, channel], strict=True)):
        colour = LEVEL_COLOURS[place % len(LEVEL_COLOURS)]
        axes.plot(at, course, color=colour, linewidth=1, alpha=0.35)
        axes.plot(at, np.where(sure, course, np.nan), color=colour, linewidth=2, label=level)
    axes.axhline(0, color=CHANCE, linewidth=0.6)
    axes.axvline(at[found.peak[0]], color=CHANCE, linewidth=0.8, linestyle=(0, (2, 2)))
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_ylabel("µV")


def _grid(
    names: Sequence[str], lines: Sequence[Sequence[int]], maps: Maps, limit: float, unit: str | None
) -> tuple[Figure, list[list[list[Axes]]], Callable[[], None]]:
    """Return a figure, its axes ``[line][row][column]``, and what draws the colour bar."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    rows, side, gap, left, top, bottom = len(names), 0.68, 0.28, 1.35, 0.45, 0.55
    columns = max(map(len, lines))
    width = left + columns * side + 0.75
    height = top + bottom + len(lines) * (rows * side + gap)
    with rc_context(_STYLE):
        figure = Figure(figsize=(width, height))
        cells: list[list[list[Axes]]] = []
        for line, taken in enumerate(lines):
            cells.append([])
            for row, name in enumerate(names):
                y = height - top - gap - line * (rows * side + gap) - (row + 1) * side
                cells[-1].append(
                    [
                        figure.add_axes(((left + column * side) / width, y / height, side / width, side / height))
                        for column in range(len(taken))
                    ]
                )
                figure.text((left - 0.1) / width, (y + side / 2) / height, name, ha="right", va="center", fontsize=7.5)
            for column, sample in enumerate(taken):
                y = height - top - gap - line * (rows * side + gap)
                text = f"{1e3 * maps.times_s[sample]:.0f}" + (" ms" if not column else "")
                figure.text(
                    (left + (column + 0.5) * side) / width, (y + 0.05) / height, text, ha="center", fontsize=7.5
                )

    def bar() -> None:
        with rc_context(_STYLE):
            size = min(1.6, 0.6 * (height - top - bottom))
            _colour_bar(figure, (1 - 0.55 / width, 0.5 - size / 2 / height, 0.12 / width, size / height), limit, unit)

    return figure, cells, bar


def _colour_bar(figure: Figure, place: tuple[float, float, float, float], limit: float, unit: str | None) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    bar = figure.colorbar(ScalarMappable(Normalize(-limit, limit), SIGNED), cax=figure.add_axes(place))
    bar.set_ticks([-limit, 0, limit], labels=[f"{-limit:.2g}", "0", f"{limit:.2g}"])
    bar.ax.tick_params(labelsize=6.5)
    bar.ax.set_title(unit or "", fontsize=7)


def _title(figure: Figure, title: str, note: str) -> None:
    import textwrap

    width, height = figure.get_size_inches()
    figure.text(0.1 / width, 1 - 0.1 / height, title, ha="left", va="top", fontsize=11, fontweight="bold")
    wrapped = textwrap.fill(note, int(17 * width))
    figure.text(0.1 / width, 0.08 / height, wrapped, ha="left", va="bottom", fontsize=6.5, color="#5a6672")


def _every(times_s: Array) -> list[int]:
    """Return the samples nearest to every 20 ms from 0 to 600 ms, as far as there are any."""
    half = 0.5 * float(times_s[1] - times_s[0])
    wanted = np.arange(round(times_s[0] / STEP_S), round(times_s[-1] / STEP_S) + 1) * STEP_S
    nearest = [int(np.abs(times_s - at).argmin()) for at in wanted]
    return [sample for sample, at in zip(nearest, wanted, strict=True) if abs(times_s[sample] - at) <= half + 1e-9]


def _limit(rows: Iterable[Array]) -> float:
    return max(float(np.abs(np.stack(list(rows))).max()), 1e-9)


def _dot(colour: str, label: str) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], marker="o", linestyle="", color=colour, label=label)
