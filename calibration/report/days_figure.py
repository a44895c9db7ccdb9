"""Scores by day, one line a participant, and what each day took over."""

from __future__ import annotations

from collections.abc import Sequence

from calibration.data.participants import Day
from calibration.report.figure import CHANCE, COLOURS, Drawn, drawing


def scores_by_day(listed: Sequence[Day]) -> Drawn:
    """Return the figure; a ring marks a day that started from earlier ones."""
    known = [each for each in listed if each.score is not None]
    caption = (
        "Cross-validated scores of single trials (AUC, or two-way identification of pictures); bars: 95 % intervals. "
        "Filled: from that day's trials alone; rings: started from earlier bundles. Dashes: chance."
    )
    with drawing("participants", "Scores by day", caption, 6.4, 3.4) as (figure, made):
        axes = figure.subplots()
        dates = sorted({each.day for each in known})
        for number, who in enumerate(dict.fromkeys(each.participant for each in known)):
            own = [each for each in known if each.participant == who]
            colour = COLOURS[number % len(COLOURS)]
            places = [dates.index(each.day) for each in own]
            axes.plot(places, [each.score or 0.0 for each in own], color=colour, linewidth=1, label=who)
            for place, each in zip(places, own, strict=True):
                if each.interval is not None:
                    axes.vlines(place, *each.interval, color=colour, linewidth=1, alpha=0.6)
                face = "white" if any(each.sources.values()) else colour
                axes.plot(place, each.score or 0.0, "o", color=colour, markerfacecolor=face)
        axes.axhline(0.5, color=CHANCE, linestyle="--", linewidth=1)
        axes.set_xticks(range(len(dates)), [date[:10] for date in dates], rotation=30, ha="right")
        axes.set_ylabel("score")
        if known:
            axes.legend(frameon=False, fontsize=8)
    return made
