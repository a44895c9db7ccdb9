"""What the experimenter sees after each block of a calibration: whether it works, and how much longer it will take."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from calibration.data.targets import Targets
from calibration.data.trials import Trials
from calibration.errors import FitError, RidgeError
from calibration.model.examples import FEWEST_TRIALS, Layout, make_examples
from calibration.model.linear_model import cross_validate
from calibration.scores.learning_curve import Point, trials_to_reach
from calibration.scores.summary import headline, summarise
from configs.schema import Config


@dataclass(frozen=True)
class StopRule:
    """When a calibration may end: a score, and what it must exceed."""

    score: str
    above: float

    def __str__(self) -> str:
        return f"{self.score}>{self.above:g}"

    @classmethod
    def parse(cls, text: str) -> StopRule:
        """Return the rule that `text` states, such as ``two_way>0.70``; ``>=`` is read as ``>``.

        Raises
        ------
        FitError
            If it states none.
        """
        match = re.fullmatch(r"\s*(two_way|auc|top1|top5)\s*>=?\s*(0?\.\d+)\s*", text)
        if match is None:
            msg = f"cannot read {text!r}: give a score and a number below 1, such as 'two_way>0.70'"
            raise FitError(msg)
        return cls(match[1], float(match[2]))

    def met(self, scores: dict[str, Any]) -> bool:
        """Return whether the lower end of the score's interval exceeds the number, so that luck does not end it."""
        interval = scores.get(f"{self.score}_interval")
        return interval is not None and interval[0] is not None and interval[0] > self.above


@dataclass(frozen=True)
class Standing:
    """How a calibration stands.

    Attributes
    ----------
    n_trials
        Trials so far.
    scores
        Cross-validated, as `calibration.scores.summary.summarise` names them; empty while there are too few trials.
    curve
        One point a block so far.
    """

    n_trials: int
    scores: dict[str, Any]
    curve: tuple[Point, ...]

    def minutes_to(self, goal: float, trials_a_minute: float) -> float | None:
        """Return about how many more minutes would reach `goal`; None where the curve does not point there."""
        needed = trials_to_reach(list(self.curve), goal)
        return None if needed is None else max(needed - self.n_trials, 0) / trials_a_minute


class Blocks:
    """Collects blocks of trials and scores them together after each.

    Parameters
    ----------
    targets
        What each trial should decode to.
    config
        The session's settings.
    """

    def __init__(self, targets: Targets, config: Config) -> None:
        self._targets, self._config = targets, config
        self._trials: Trials | None = None
        self._curve: list[Point] = []

    @property
    def trials(self) -> Trials | None:
        """All trials so far."""
        return self._trials

    def add(self, block: Trials) -> Standing:
        """Add a block and return how the calibration stands with it."""
        self._trials = block if self._trials is None else _join(self._trials, block)
        trials, config = self._trials, self._config
        if len(trials) < FEWEST_TRIALS or len(np.unique(trials.names)) < 2:
            return Standing(len(trials), {}, tuple(self._curve))
        targets = self._targets if config.markers.classes else self._targets.scaled_by(trials.names)
        layout = Layout.of(trials.times_s, config.window.start_s, config.window.baseline_s)
        try:
            held_out = cross_validate(make_examples(trials, targets, config), layout, config.fit)
        except RidgeError:
            return Standing(len(trials), {}, tuple(self._curve))
        settings = config.fit
        found = summarise(
            held_out.predicted, trials.names, held_out.folds, targets.gallery, settings.permutations, settings.seed
        )
        name, value = headline(found)
        if value is not None:
            self._curve.append(Point(len(trials), value, *found[f"{name}_interval"]))
        return Standing(len(trials), found, tuple(self._curve))


def _join(first: Trials, second: Trials) -> Trials:
    """Return the trials of both; the second's recordings are counted on from the first's."""
    after = int(first.recordings.max(initial=-1)) + 1
    return replace(
        first,
        samples=np.concatenate([first.samples, second.samples]),
        names=np.concatenate([first.names, second.names]),
        onsets=np.concatenate([first.onsets, second.onsets]),
        recordings=np.concatenate([first.recordings, second.recordings + after]),
        flags=first.flags + second.flags,
        refused=first.refused + tuple(replace(each, recording=each.recording + after) for each in second.refused),
        lost=first.lost + second.lost,
    )
