"""Figures of what each electrode carries, and of how few would do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from calibration.maps.electrode_choice import Choice
from calibration.maps.electrodes import LEVEL_P, Preference
from calibration.maps.montage import Montage
from calibration.report.figure import CHANCE, COLOURS, INK, Drawn, drawing
from calibration.report.topomaps import scores_on_the_head
from realtime.electrodes import head_places

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROWS = 10
_NAMES = {"two_way": "2-way identification", "auc": "AUC"}


def electrode_figures(found: Preference, choice: Choice | None, about: str) -> list[Drawn]:
    """Return all figures of the electrodes.

    Parameters
    ----------
    found
        What each electrode tells.
    choice
        How few electrodes would do; None where that was not asked.
    about
        Whose EEG it is, for the captions.
    """
    figures = []
    montage = Montage.of(found.channels)
    if montage.drawable:
        figures.append(alone_on_the_head(found, montage, about))
    if any(head_places(found.channels)):
        figures.append(preference_on_the_head(found, about))
    figures.append(strongest(found, about))
    if choice is not None and choice.curve:
        figures.append(selection(choice, about))
    return figures


def _n(found: Preference) -> str:
    return (
        f"n = {found.n_units} (means over {found.n_trials} trials)"
        if found.n_units < found.n_trials
        else f"n = {found.n_units} trials"
    )


def alone_on_the_head(found: Preference, montage: Montage, about: str) -> Drawn:
    """Draw how well each electrode alone tells each attribute.

    Parameters
    ----------
    found
        What each electrode tells alone, with its p-values.
    montage
        Where the electrodes are.
    about
        Whose EEG it is, for the caption.
    """
    columns = min(4, len(found.attributes))
    rows = -(-len(found.attributes) // columns)
    caption = (
        f"{about}; {_n(found)}. Correlation of held-out predictions from one electrode's whole window with the truth; "
        f"rings: p ≤ {LEVEL_P:g}, labels shuffled, family-wise over electrodes. 'all': every electrode together."
    )
    with drawing(
        "electrodes-alone", "What each electrode tells alone", caption, 2.1 * columns + 0.9, 2.3 * rows + 1.0
    ) as (
        figure,
        made,
    ):
        grid = figure.subplots(rows, columns, squeeze=False)
        top = max(0.05, float(found.alone.max()))
        image: Any = None
        for place, axes in enumerate(grid.ravel()):
            if place >= len(found.attributes):
                axes.axis("off")
                continue
            image = scores_on_the_head(axes, found.alone[:, place], montage, found.p[:, place] <= LEVEL_P, (0.0, top))
            axes.set_title(f"{found.attributes[place]}\nall: {found.together[place]:.2f}", fontsize=9)
        figure.colorbar(image, ax=grid.ravel().tolist(), shrink=0.6, label="correlation")
    return made


def preference_on_the_head(found: Preference, about: str) -> Drawn:
    """Draw which attribute each electrode prefers."""
    caption = (
        f"{about}; {_n(found)}. Colour: the attribute that explains most of an electrode's variance between "
        f"{'pictures' if found.n_units < found.n_trials else 'trials'} at its best moment (adjusted R², as the size), "
        f"among those it tells alone with p ≤ {LEVEL_P:g}; grey: none."
    )
    with drawing("electrodes-preference", "What each electrode prefers", caption, 6.4, 5.4) as (figure, made):
        axes = figure.subplots()
        turn = np.linspace(0, 2 * np.pi, 200)
        axes.plot(np.cos(turn), np.sin(turn), color=CHANCE, linewidth=1)
        axes.plot([-0.12, 0, 0.12], [0.99, 1.12, 0.99], color=CHANCE, linewidth=1)
        largest = max(1e-9, float(found.explained.max()))
        places = head_places(found.channels)
        for row, (name, place, preferred) in enumerate(zip(found.channels, places, found.preferred, strict=True)):
            if place is None:
                continue
            column = None if preferred is None else found.attributes.index(preferred)
            colour = "#d5d9dd" if column is None else COLOURS[column % len(COLOURS)]
            share = 0.0 if column is None else float(found.explained[row, column]) / largest
            axes.scatter(*place, 90 + 320 * share, color=colour, alpha=0.6, linewidths=0)
            axes.annotate(name, place, ha="center", va="center", fontsize=6, color=INK)
        for column, name in enumerate(found.attributes):
            count = found.preferred.count(name)
            axes.scatter([], [], 90, color=COLOURS[column % len(COLOURS)], alpha=0.6, label=f"{name} ({count})")
        axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5), title="prefers (electrodes)")
        axes.set(aspect="equal")
        axes.axis("off")
    return made


def strongest(found: Preference, about: str) -> Drawn:
    """Draw the electrodes that tell most of each attribute: alone, what is lost without them, and when."""
    caption = (
        f"{about}; {_n(found)}. Bars: 95 % intervals over pictures (bootstrap). Left: held-out correlation of one "
        "electrode alone (hollow: not beyond chance). Middle: correlation of all electrodes less that of all others. "
        "Right: moment at which the attribute explains most of the electrode's variance."
    )
    names = found.attributes
    with drawing("electrodes-strongest", "The electrodes that tell most", caption, 9.0, 2.0 * len(names) + 1.0) as (
        figure,
        made,
    ):
        grid = figure.subplots(len(names), 3, squeeze=False)
        for row, name in enumerate(names):
            order = np.argsort(-found.alone[:, row], kind="stable")[:_ROWS]
            colour = COLOURS[row % len(COLOURS)]
            sure = found.p[order, row] <= LEVEL_P
            labels = [found.channels[place] for place in order]
            columns = (
                (found.alone, found.alone_low, found.alone_high, 1.0, "alone (r)"),
                (found.loss, found.loss_low, found.loss_high, 1.0, "lost without (r)"),
                (found.latency_s, found.latency_low_s, found.latency_high_s, 1e3, "latency (ms)"),
            )
            for column, (values, low, high, unit, label) in enumerate(columns):
                axes = grid[row, column]
                picked = (unit * values[order, row], unit * low[order, row], unit * high[order, row])
                _dots(axes, *picked, colour, sure)
                axes.set_xticks(range(len(labels)), labels, rotation=60, fontsize=7)
                axes.set_ylabel(f"{name}\n{label}" if column == 0 else label)
                if column < 2:
                    axes.axhline(0, color=CHANCE, linewidth=1, linestyle=(0, (4, 3)))
    return made


def _dots(axes: Axes, values: np.ndarray, low: np.ndarray, high: np.ndarray, colour: str, sure: np.ndarray) -> None:
    places = np.arange(len(values))
    axes.vlines(places, low, high, color=colour, linewidth=2, alpha=0.45)
    axes.scatter(places, values, 22, facecolors=[colour if ok else "white" for ok in sure], edgecolors=colour, zorder=3)
    axes.set_xlim(-0.6, len(values) - 0.4)
    if not np.isfinite(values).any():
        axes.text(0.5, 0.5, "n/a", transform=axes.transAxes, ha="center", color=CHANCE)
        axes.set_yticks([])


def selection(choice: Choice, about: str) -> Drawn:
    """Draw the held-out score against the number of electrodes."""
    from matplotlib.ticker import MaxNLocator

    unit = "pictures" if choice.kind == "two_way" else "trials"
    caption = (
        f"{about}; n = {choice.n_units} {unit}. Each size: electrodes chosen one by one on training {unit}, scored "
        "on held-out ones; band: 95 % interval. Names: the choice on all of them, in order; the folds' own choices "
        f"agree with it for {100 * choice.agreement[-1]:.0f} % at the end."
    )
    with drawing("electrodes-choice", "How few electrodes would do", caption, 7.2, 3.8) as (figure, made):
        axes = figure.subplots()
        sizes = [part.at for part in choice.curve]
        scores = [part.score for part in choice.curve]
        axes.fill_between(
            sizes,
            [p.low for p in choice.curve],
            [p.high for p in choice.curve],
            color=COLOURS[0],
            alpha=0.2,
            linewidth=0,
        )
        axes.plot(sizes, scores, "o-", color=COLOURS[0], label="chosen")
        for size, score, name in zip(sizes, scores, choice.order, strict=False):
            axes.annotate(f"+{name}", (size, score), (0, -14), textcoords="offset points", ha="center", fontsize=7)
        if choice.everything is not None:
            part = choice.everything
            axes.axhline(part.score, color=COLOURS[1], linewidth=1.2, label=f"all {part.at:.0f}: {part.score:.2f}")
            axes.axhspan(part.low, part.high, color=COLOURS[1], alpha=0.12, linewidth=0)
        for number, part in enumerate(choice.headsets):
            colour = COLOURS[2 + number]
            axes.errorbar(
                part.at, part.score, [[part.score - part.low], [part.high - part.score]], fmt="s", color=colour,
                label=f"{part.name}: {part.score:.2f}",
            )  # fmt: skip
        axes.axhline(0.5, color=CHANCE, linewidth=1, linestyle=(0, (4, 3)))
        axes.annotate("chance", (1.01, 0.5), xycoords=("axes fraction", "data"), color=CHANCE, va="center")
        axes.legend(frameon=False, fontsize=8, loc="lower right", bbox_to_anchor=(1.0, 0.12))
        axes.set(xlabel="electrodes", ylabel=f"held-out {_NAMES[choice.kind]}", ylim=(0.45, 1.0))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return made
