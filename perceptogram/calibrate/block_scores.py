"""What the experimenter sees after each block of a calibration: whether it works, and how much longer it will take."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.data.sources import EarlierBundle
from calibration.data.targets import Targets
from calibration.data.trials import Trials
from calibration.errors import FitError, RidgeError
from calibration.fit_learning import earlier_of
from calibration.model.earlier import Earlier
from calibration.model.examples import FEWEST_TRIALS, Layout, make_examples
from calibration.model.from_sources import map_of_sources
from calibration.model.linear_model import cross_validate
from calibration.scores.enough import enough_a_fold
from calibration.scores.learning_curve import Point, trials_to_reach
from calibration.scores.retrieval import FoldGallery
from calibration.scores.summary import headline, summarise
from configs.schema import Config
from realtime.decoding.gallery import Gallery


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
    worth
        How many trials the earlier bundles count as beside the new ones; None where there are none.
    """

    n_trials: int
    scores: dict[str, Any]
    curve: tuple[Point, ...]
    worth: float | None = None

    @property
    def from_earlier(self) -> bool:
        """Whether earlier bundles still outweigh the new trials."""
        return self.worth is not None and self.worth > self.n_trials

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
    sources
        Earlier bundles to start from: with them there is a score from the first block on.
    """

    def __init__(self, targets: Targets, config: Config, sources: Sequence[EarlierBundle] = ()) -> None:
        self._targets, self._config, self._sources = targets, config, tuple(sources)
        self._trials: Trials | None = None
        self._curve: list[Point] = []

    @property
    def trials(self) -> Trials | None:
        """All trials so far."""
        return self._trials

    def check(self, trials: Trials) -> tuple[str, ...]:
        """Return what people should know of the sources, for trials like these, though there be none yet.

        Raises
        ------
        FitError
            If a source does not fit, with what differs.
        """
        return earlier_of(self._sources, trials, self._config, self._targets)[1]

    def add(self, block: Trials) -> Standing:
        """Add a block and return how the calibration stands with it."""
        self._trials = block if self._trials is None else _join(self._trials, block)
        trials, config = self._trials, self._config
        earlier, _ = earlier_of(self._sources, trials, config, self._targets)
        if not len(trials) or len(np.unique(trials.names)) < 2:
            return Standing(len(trials), {}, tuple(self._curve))
        targets = self._targets if config.markers.classes else self._targets.scaled_by(trials.names)
        try:
            predicted, folds, gallery, worth = self._held_out(trials, targets, earlier)
        except RidgeError:
            return Standing(len(trials), {}, tuple(self._curve))
        settings = config.fit
        found = summarise(predicted, trials.names, folds, gallery, settings.permutations, settings.seed)
        name, value = headline(found)
        if value is not None:
            self._curve.append(Point(len(trials), value, *found[f"{name}_interval"]))
        return Standing(len(trials), found, tuple(self._curve), worth)

    def _held_out(
        self, trials: Trials, targets: Targets, earlier: tuple[Earlier, ...]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64], Gallery, float | None]:
        """Return predictions by maps that have not seen these trials, folds, the gallery, and what sources count as."""
        config = enough_a_fold(self._config, len(np.unique(trials.names)))
        window, settings = config.window, config.fit
        layout = Layout.of(trials.times_s, window.start_s, window.baseline_s)
        if len(trials) >= FEWEST_TRIALS:
            found = cross_validate(make_examples(trials, targets, config), layout, settings, earlier=earlier)
            worths = [sum(each.worth for each in prior.earlier) for prior in found.priors]
            gallery = FoldGallery.of(targets.gallery, [each.likelihood for each in found.comparisons])
            return found.predicted, found.folds, gallery, float(np.mean(worths)) if worths else None
        if not earlier:
            msg = f"{len(trials)} trials are too few"
            raise RidgeError(msg)
        # Too few to learn anything from: the sources' own map has seen none of them.
        windows = trials.samples[:, layout.start :]
        predicted = map_of_sources(earlier, layout, settings, windows).predict(trials.samples)
        worth = float(sum(each.memory.n_trials for each in earlier))
        return predicted, np.zeros(len(trials), dtype=np.int64), targets.gallery, worth


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
