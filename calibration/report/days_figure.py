"""Scores by day, one line a participant, and what each day took over."""

from __future__ import annotations

from collections.abc import Sequence

from calibration.data.participants import Day
from calibration.report.figure import CHANCE, COLOURS, Drawn, drawing

_WIDTH = 0.6


def scores_by_day(listed: Sequence[Day]) -> Drawn:
    """Return the figure: above the scores, a ring where a day started from earlier ones; below the trials behind them.

    What came from earlier bundles stands upon a day's own trials, as the number of new ones that it counts as.
    """
    known = [each for each in listed if each.score is not None]
    caption = (
        "Cross-validated scores of single trials (AUC, or two-way identification of pictures); bars: 95 % intervals. "
        "Filled: from that day's trials alone; rings: started from earlier bundles. Dashes: chance. Below: trials of "
        "the day (dark), and what was taken over, as the number of trials that it counts as (light)."
    )
    with drawing("participants", "Scores by day", caption, 6.4, 4.2) as (figure, made):
        axes, trials = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
        # Two bundles of one minute are two places.
        dates = sorted({(each.day, each.folder) for each in known})
        for number, who in enumerate(dict.fromkeys(each.participant for each in known)):
            own = [each for each in known if each.participant == who]
            colour = COLOURS[number % len(COLOURS)]
            places = [dates.index((each.day, each.folder)) for each in own]
            axes.plot(places, [each.score or 0.0 for each in own], color=colour, linewidth=1, label=who)
            for place, each in zip(places, own, strict=True):
                if each.interval is not None:
                    axes.vlines(place, *each.interval, color=colour, linewidth=1, alpha=0.6)
                carried = sum(each.sources.values())
                axes.plot(place, each.score or 0.0, "o", color=colour, markerfacecolor="white" if carried else colour)
                trials.bar(place, each.n_trials or 0, _WIDTH, color=colour)
                trials.bar(place, carried, _WIDTH, bottom=each.n_trials or 0, color=colour, alpha=0.35)
        axes.axhline(0.5, color=CHANCE, linestyle="--", linewidth=1)
        trials.set_xticks(range(len(dates)), [day[:10] for day, _ in dates], rotation=30, ha="right")
        axes.set_ylabel("score")
        trials.set_ylabel("trials")
        if known:
            axes.legend(frameon=False, fontsize=8)
    return made
