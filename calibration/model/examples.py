"""Training examples: epochs as rows, targets beside them, grouped so that no picture stands on both sides of a fold."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.data.targets import Targets
from calibration.data.trials import Trials
from configs.schema import Config

Array = NDArray[np.float64]
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Layout:
    """Where window and baseline lie in an epoch.

    Attributes
    ----------
    start
        First sample of the decoded window.
    baseline
        ``[times]``: see `calibration.model.folding.Chain`.
    times_s
        ``[times]`` of the window alone, in seconds after onset; None where that is not known.
    """

    start: int
    baseline: Array
    times_s: Array | None = None

    @classmethod
    def of(cls, times_s: Array, start_s: float, baseline_s: tuple[float, float] | None) -> Layout:
        """Return the layout of epochs whose samples were taken at given times.

        Parameters
        ----------
        times_s
            ``[times]``, seconds after onset.
        start_s
            Where the window begins; what lies before serves the baseline alone.
        baseline_s
            Begin and end of the stretch whose mean is subtracted, the end not counted; None for no baseline.
        """
        margin = 1e-6
        baseline = np.zeros(len(times_s))
        if baseline_s is not None:
            inside = (times_s >= baseline_s[0] - margin) & (times_s < baseline_s[1] - margin)
            baseline[inside] = 1.0 / max(int(np.count_nonzero(inside)), 1)
        start = int(np.count_nonzero(times_s < start_s - margin))
        return cls(start, baseline, times_s[start:])


@dataclass(frozen=True)
class Examples:
    """Trials with their targets.

    Attributes
    ----------
    samples
        float32 ``[trials, times, channels]`` in microvolts.
    targets
        ``[trials, dims]``.
    groups
        ``[trials]``: trials of one group are never on both sides of a split.
    names
        ``[trials]``: what was shown; trials of one name have the same target.
    teaches
        bool ``[trials]``: whether a trial may be learned from. Epochs with artefacts are predicted, as they are live,
        but one swing of the electrodes outweighs hundreds of clean epochs in a least-squares fit.
    """

    samples: NDArray[np.float32]
    targets: NDArray[np.floating[Any]]
    groups: NDArray[Any]
    names: NDArray[Any]
    teaches: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.samples)

    def take(self, which: NDArray[Any]) -> Examples:
        """Return the trials that an index or a mask names."""
        return Examples(
            self.samples[which], self.targets[which], self.groups[which], self.names[which], self.teaches[which]
        )

    def taught(self) -> Examples:
        """Return the trials that may be learned from; no copy where all may."""
        return self if self.teaches.all() else self.take(self.teaches)

    def members(self) -> NDArray[np.int64]:
        """Return for each trial ``[trials]`` the place of its mean trial in `averaged`."""
        places: dict[tuple[Any, Any], int] = {}
        keys = zip(self.groups.tolist(), self.names.tolist(), strict=True)
        return np.array([places.setdefault(key, len(places)) for key in keys], dtype=np.int64)

    def averaged(self) -> Examples:
        """Return one mean trial for each name within each group."""
        members = self.members()
        rows = [np.flatnonzero(members == place) for place in range(members.max() + 1)]
        firsts = self.take(np.array([row[0] for row in rows]))
        return replace(firsts, samples=np.stack([self.samples[row].mean(axis=0) for row in rows]))

    def split_groups(self, n_folds: int) -> NDArray[Any]:
        """Return the groups ``[trials]``, or runs of neighbouring trials where there is only one group."""
        if len(np.unique(self.groups)) > 1 or len(self) < 2:
            return self.groups
        return np.arange(len(self)) * min(n_folds, len(self)) // len(self)


FEWEST_TRIALS = 20


_LEAST_CLEAN = 0.25


def make_examples(trials: Trials, targets: Targets, config: Config) -> Examples:
    """Return trials with their targets and with the groups that cross-validation must not split.

    Parameters
    ----------
    trials
        Epochs of one stream; those that are flagged teach nothing unless most are.
    targets
        The embeddings of the pictures that were shown.
    config
        Which trials must stay in one fold: those of a picture, or of a recording.
    """
    groups = trials.recordings if grouping(config) == "recording" else trials.names
    return Examples(trials.samples, targets.of(trials.names), groups, trials.names, teaching(trials))


def teaching(trials: Trials) -> NDArray[np.bool_]:
    """Return which trials ``[trials]`` may be learned from: those that are not flagged, or all where most are."""
    flagged = np.array([bool(flags) for flags in trials.flags], dtype=np.bool_)
    teaches = ~flagged if len(flagged) else np.ones(len(trials), dtype=np.bool_)
    if teaches.sum() < max(FEWEST_TRIALS, _LEAST_CLEAN * len(trials)):
        # Where most epochs are flagged, the limits do not suit the amplifier; the flags then decide nothing.
        logger.warning(
            "%d of %d trials are flagged: all are learned from; raise artefacts.peak_to_peak_uv to leave out the worst",
            len(trials) - int(teaches.sum()),
            len(trials),
        )
        teaches = np.ones(len(trials), dtype=np.bool_)
    return teaches


def counts(trials: Trials) -> dict[str, Any]:
    """Return how many trials there are and what became of the others."""
    reasons = Counter(refusal.kind for refusal in trials.refused)
    return {
        "n_trials": len(trials),
        "n_flagged": sum(map(bool, trials.flags)),
        "refused": len(trials.refused),
        "refused_because": dict(reasons.most_common()),
        "lost_samples": trials.lost,
        "simulated": trials.simulated,
        "notices": list(trials.notices),
    }


def grouping(config: Config) -> str:
    """Return what cross-validation keeps together; trials of one class share a target, so classes go by recording."""
    if not config.markers.classes and config.fit.group_by == "picture":
        return "picture"
    return "recording"
