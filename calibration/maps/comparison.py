"""What an attribute is compared over: pictures of the same concept, or the concepts themselves.

Pictures of one concept have more in common than what is measured of them, and the EEG answers to that too. With a few
dozen concepts some of that answer goes along with any attribute by chance, and shuffling single pictures does not show
it: what is shown is a sample, as participants are (Clark 1973, "The language-as-fixed-effect fallacy"). So where
concepts have several pictures each, an attribute that varies between pictures of a concept is compared within concepts,
and one that belongs to the concept is compared between the means of concepts, which change places whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.maps.attributes import Attribute
from calibration.maps.cluster_test import PartialRegression
from calibration.maps.readout import Units
from calibration.model.folds import grouped_folds

Array = NDArray[np.float64]
Samples = NDArray[np.floating[Any]]

FEWEST_OF_A_CONCEPT = 3
"""Pictures of a concept, on average, from which on they can be compared with one another."""
WITHIN = 0.05
"""Share of an attribute's variance within concepts from which on it is compared there."""


@dataclass(frozen=True)
class Comparison:
    """How an attribute is regressed on.

    Attributes
    ----------
    design, others
        ``[units, columns]``: the attribute, and what is taken out.
    blocks, folds
        ``[units]``: rows change places within their block; folds for what is held out.
    what
        What changes places, in words.
    means
        ``[concepts, units]``: takes the mean of each concept; None where units stand for themselves.
    """

    design: Array
    others: Array
    blocks: NDArray[np.int64]
    folds: NDArray[np.int64]
    what: str
    means: Array | None = None

    def regression(self, samples: Samples) -> PartialRegression:
        """Return the regression of samples ``[units, times, channels]``.

        Concepts are compared by their means, less what the other attributes add between pictures of one concept.

        Raises
        ------
        ValueError
            If nothing is left of the attribute.
        """
        if self.means is None:
            return PartialRegression(samples, self.design, self.others, self.blocks)
        flat = samples.reshape(len(samples), -1).astype(np.float64)
        block = (self.blocks[:, None] == np.unique(self.blocks)).astype(np.float64)
        others = np.concatenate([block, self.others], axis=1)
        others -= others.mean(axis=0)
        slopes = np.linalg.pinv(self._within(others), rcond=1e-6) @ self._within(flat)
        means = self.means @ (flat - others @ slopes)
        none = np.zeros(len(means), np.int64)
        return PartialRegression(
            means.reshape(-1, *samples.shape[1:]), self.means @ self.design, np.zeros((len(means), 0)), none
        )

    def share_explained(self, samples: Samples, time: int, channel: int) -> float:
        """Return the share of variance of held-out units that the attribute predicts at one moment and electrode.

        Parameters
        ----------
        samples
            Units ``[units, times, channels]``, µV.
        time, channel
            The moment and electrode, as places in `samples`.

        Returns
        -------
        Share of variance, at most 1; below 0 where the prediction is worse than the fold's mean.
        """
        one = samples[:, time : time + 1, channel : channel + 1]
        return PartialRegression(one, self.design, self.others, self.blocks).share_explained(self.folds, 0, 0)

    def _within(self, values: Array) -> Array:
        """Return values ``[units, ...]`` less the mean of their concept."""
        if self.means is None:
            return values
        left: Array = values - (self.means > 0).T.astype(np.float64) @ (self.means @ values)
        return left


def compare(
    units: Units, attribute: Attribute, others: Sequence[Attribute], concepts: NDArray[np.str_] | None = None
) -> Comparison:
    """Return how an attribute is compared over units, other attributes taken out.

    Units stand for themselves where nobody knows their concept, where there are hardly fewer concepts than units or one
    only, and where the attribute is the concept.

    Parameters
    ----------
    units
        Pictures' mean windows, or trials.
    attribute, others
        What is compared, and what is taken out.
    concepts
        ``[units]``: what each unit's picture shows.
    """
    design = attribute.design(units.names)
    rest = np.concatenate([np.zeros((len(units), 0)), *(other.design(units.names) for other in others)], axis=1)
    plain = Comparison(design, rest, units.blocks, units.folds, units.what)
    if concepts is None or not 1 < len(np.unique(concepts)) <= len(concepts) // FEWEST_OF_A_CONCEPT:
        return plain
    member = (concepts[:, None] == np.unique(concepts)).astype(np.float64)
    means = (member / member.sum(axis=0)).T
    within = design - member @ (means @ design)
    if np.sum(within**2) > WITHIN * np.sum(design**2):
        taken = np.concatenate([rest, member], axis=1)
        return replace(plain, others=taken, what=f"{units.what} of the same concept")
    if len(means) - 1 <= np.linalg.matrix_rank(design):
        return plain
    folds = grouped_folds(concepts, len(np.unique(units.folds)), 0)
    return replace(plain, folds=folds, what=f"{len(means)} concepts", means=means)
