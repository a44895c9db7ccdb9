"""What the experimenter sees of a calibration in the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rich.console import Console
from rich.progress import Progress

from perceptogram.calibrate.block_scores import Standing
from perceptogram.console import number, print_rows, progress_bar, teller

GOOD = 0.5
"""Signal quality from which an electrode is good."""
GOAL = 0.7
"""Score that the extrapolation aims at where no rule names another."""


@dataclass(frozen=True)
class BlockReport:
    """One block of a calibration, for people.

    Attributes
    ----------
    block, blocks
        Number of the block, from 1, and of how many.
    standing
        The scores with all that came so far.
    quality
        Quality of each electrode's signal in this block, 0 to 1; None where there is no limit to judge by.
    refused, flagged
        Trials without a usable window, and doubtful ones, so far in this run.
    dropped, lost_samples
        Frames that came late, and samples that never came, so far in this run.
    """

    block: int
    blocks: int
    standing: Standing
    quality: Mapping[str, float | None]
    refused: int
    flagged: int
    dropped: int
    lost_samples: int


def rows(report: BlockReport, goal: float, trials_a_minute: float) -> dict[str, str]:
    """Return a block's report as names and values.

    Parameters
    ----------
    report
        What is known after the block.
    goal
        Score to reach.
    trials_a_minute
        Pace of the session.
    """
    standing, found = report.standing, report.standing.scores
    name = "auc" if "auc" in found else "two_way"
    score, interval = found.get(name), found.get(f"{name}_interval")
    shown = "n/a (too few trials)" if name not in found else "n/a (no two pictures or classes in one fold)"
    if score is not None and interval is not None:
        shown = f"{number(score)} [{number(interval[0])}, {number(interval[1])}], chance 0.50"
    return {
        "2-way identification" if name == "two_way" else "AUC": shown,
        **_weights(standing),
        "learning curve": " → ".join(f"{point.score:.2f} ({point.n})" for point in standing.curve) or "n/a",
        f"to reach {goal:.2f}": outlook(standing, goal, trials_a_minute),
        "trials": f"{standing.n_trials} usable; in this run {report.refused} refused, {report.flagged} flagged",
        "electrodes": electrodes(report.quality),
        "timing": f"{report.dropped} frames dropped, {report.lost_samples} samples lost",
    }


def _weights(standing: Standing) -> dict[str, str]:
    """Return whether the map is still that of earlier days, where it started from any."""
    if standing.worth is None:
        return {}
    told = f"earlier trials count as {standing.worth:.0f}, beside {standing.n_trials} new ones"
    return {"map": f"from earlier days ({told})" if standing.from_earlier else told}


def outlook(standing: Standing, goal: float, trials_a_minute: float) -> str:
    """Return in words about how many more minutes would reach a score: reached is what `StopRule` calls met.

    Parameters
    ----------
    standing
        Scores so far and the learning curve.
    goal
        Score to reach.
    trials_a_minute
        Pace of the session.
    """
    latest = standing.curve[-1] if standing.curve else None
    if latest is not None and latest.low > goal:
        return "reached"
    if latest is not None and latest.score >= goal:
        return f"not sure yet: the score is there, its interval begins at {number(latest.low)}"
    minutes = standing.minutes_to(goal, trials_a_minute)
    if minutes is None:
        return "n/a: the learning curve does not point there yet"
    return f"about {max(1, round(minutes))} more minute{'s' if round(minutes) > 1 else ''}"


def electrodes(quality: Mapping[str, float | None]) -> str:
    """Return how many electrodes are good, and each of the others with its quality, the worst first."""
    known = {name: value for name, value in quality.items() if value is not None}
    if not known:
        return "n/a"
    poor = sorted((value, name) for name, value in known.items() if value < GOOD)
    told = f"{len(known) - len(poor)} of {len(known)} good"
    return told + (f"; look at {', '.join(f'{name} {value:.1f}' for value, name in poor)}" if poor else "")


class View:
    """The terminal during a calibration: a progress bar, and a table after each block.

    Parameters
    ----------
    console
        Where it is written.
    goal
        Score that the extrapolation aims at.
    trials_a_minute
        Pace of the presentation.
    """

    def __init__(self, console: Console, goal: float, trials_a_minute: float) -> None:
        self._console, self._goal, self._pace = console, goal, trials_a_minute
        self._progress: Progress | None = None

    def __enter__(self) -> View:
        self._progress = progress_bar()
        self._progress.start()
        self._tell = teller(self._progress)
        return self

    def __exit__(self, *_error: object) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def bar(self, stage: str, done: float, total: int) -> None:
        """Show how far things are.

        Parameters
        ----------
        stage
            What is being done.
        done, total
            How many of its parts are done, and of how many.
        """
        if self._progress is not None:
            self._tell(stage, done, total)

    def say(self, text: str) -> None:
        """Print one line."""
        self._console.print(text)

    def block(self, report: BlockReport) -> None:
        """Print how the calibration stands after a block."""
        print_rows(f"after block {report.block} of {report.blocks}", rows(report, self._goal, self._pace))
