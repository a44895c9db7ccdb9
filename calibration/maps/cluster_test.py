"""Where and when an attribute makes a difference: a cluster permutation test over electrodes × time.

Maris & Oostenveld 2007, "Nonparametric statistical testing of EEG- and MEG-data", by `mne.stats`. The statistic is that
of a partial regression, so that what goes along with another attribute is not counted twice. Under the null hypothesis
the attribute's values are shuffled between pictures and made independent of the other attributes anew (the Smith
procedure of Winkler et al. 2014, "Permutation inference for the general linear model"). A cluster's p-value is about
the whole cluster: it does not say when exactly the difference begins, nor where it ends (Sassenhagen & Draschkow 2019).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.maps.forward_model import share_explained
from calibration.statistics import shifts, shuffles

Array = NDArray[np.float64]
Progress = Callable[[int, int], None]

FORMING_P = 0.01
"""Two-sided p of a single electrode and moment from which on they may join a cluster."""
LEVEL_P = 0.05
_AT_ONCE = 1 << 24


@dataclass(frozen=True)
class ClusterTest:
    """What the test found.

    Attributes
    ----------
    statistic
        ``[times, channels]``: t, with the sign of the slope, where the attribute is one column; F otherwise.
    name
        ``"t"`` or ``"F"``, with its degrees of freedom.
    signed
        Whether the statistic has a sign: t has, F has none.
    threshold
        Size of the statistic from which on neighbours form a cluster.
    significant
        bool ``[times, channels]``: members of clusters with p below 0.05.
    p
        p-value of the largest cluster, family-wise over electrodes and time; 1 where there is no cluster at all.
    permutations
        How many shuffles, the true order counted as one.
    """

    statistic: Array
    name: str
    signed: bool
    threshold: float
    significant: NDArray[np.bool_]
    p: float
    permutations: int


class PartialRegression:
    """Regression of EEG on one attribute, everything that others explain taken out of both.

    Parameters
    ----------
    samples
        ``[units, times, channels]``.
    design
        ``[units, columns]`` of the attribute.
    others
        ``[units, columns]`` of what is to be taken out; blocks' means always are.
    blocks
        ``[units]``: units change places within their block.

    Raises
    ------
    ValueError
        If the others leave nothing of the attribute, or there are too few units.
    """

    def __init__(
        self, samples: NDArray[np.floating[Any]], design: Array, others: Array, blocks: NDArray[np.int64]
    ) -> None:
        self.shape = samples.shape[1:]
        self.blocks = blocks
        member = (blocks[:, None] == np.unique(blocks)).astype(np.float64)
        self._null = _basis(np.concatenate([member, others], axis=1))
        self._rest = self._without(samples.reshape(len(samples), -1).astype(np.float64)).astype(np.float32)
        self._total = np.einsum("np,np->p", self._rest, self._rest, dtype=np.float64)
        own = self._without(design)
        self._design = own
        self._own = _basis(own, float(np.linalg.norm(design)))
        if self._own.shape[1] == 1:  # t is positive where more of the attribute, or its last level, is more positive
            self._own *= np.sign(self._own[:, 0] @ own[:, -1])
        self.columns = self._own.shape[1]
        self.freedom = len(samples) - self._null.shape[1] - self.columns
        if not self.columns or self.freedom < 1:
            msg = f"{len(samples)} units leave nothing of the attribute once the others are taken out"
            raise ValueError(msg)

    @property
    def name(self) -> str:
        """The statistic with its degrees of freedom."""
        return f"t({self.freedom})" if self.columns == 1 else f"F({self.columns}, {self.freedom})"

    @property
    def threshold(self) -> float:
        """The statistic at `FORMING_P`."""
        from scipy import stats

        if self.columns == 1:
            return float(stats.t.isf(FORMING_P / 2, self.freedom))
        return float(stats.f.isf(FORMING_P, self.columns, self.freedom))

    def slopes(self) -> Array:
        """Return what one unit of each column of the design adds, ``[columns, times, channels]``."""
        flat: Array = np.linalg.pinv(self._design, rcond=1e-6) @ self._rest
        slopes: Array = flat.reshape(-1, *self.shape)
        return slopes

    def share_explained(self, folds: NDArray[np.int64], time: int, channel: int) -> float:
        """Return the share of variance of held-out units that the attribute predicts at one moment and electrode.

        Parameters
        ----------
        folds
            ``[units]``: the fold of each unit; a fold is predicted by the regression fitted on the others.
        time, channel
            Places in the maps' grid.

        Returns
        -------
        Share of variance, at most 1; below 0 where the prediction is worse than the fold's mean.
        """
        wanted = self._rest[:, [time * self.shape[1] + channel]]
        predicted = np.empty(wanted.shape)
        for fold in np.unique(folds):
            train = folds != fold
            predicted[~train] = self._design[~train] @ (np.linalg.pinv(self._design[train], rcond=1e-6) @ wanted[train])
        return float(share_explained(wanted, predicted, folds)[0])

    def statistic(self) -> Array:
        """Return the statistic of the true order, ``[times, channels]``."""
        true: Array = self._of(self._own[None])[0]
        return true

    def shuffled(self, orders: NDArray[np.int64]) -> Iterator[Array]:
        """Yield the statistic ``[times, channels]`` of units in other orders, many to one matrix product."""
        count = len(orders)
        at_once = max(1, _AT_ONCE // (self.columns * self._rest.shape[1]))
        for first in range(0, count, at_once):
            yield from self._of(self._own[orders[first : first + at_once]])

    def _of(self, designs: Array) -> Array:
        """Return the statistic for each of several designs ``[designs, units, columns]``."""
        left = designs - self._null @ (self._null.T @ designs)
        if self.columns == 1:
            unit = left / np.linalg.norm(left, axis=1, keepdims=True)
        else:
            unit, _ = np.linalg.qr(left)
        rows = unit.transpose(0, 2, 1).reshape(-1, len(self._rest)).astype(np.float32)
        along = (rows @ self._rest).reshape(len(designs), self.columns, -1)
        explained = np.einsum("dcp,dcp->dp", along, along)
        unexplained = np.maximum(self._total - explained, 1e-9 * np.maximum(self._total, 1e-30))
        ratio = explained / self.columns / (unexplained / self.freedom)
        if self.columns == 1:
            ratio = np.sign(along[:, 0]) * np.sqrt(ratio)
        maps: Array = ratio.reshape(len(designs), *self.shape)
        return maps

    def _without(self, values: Array) -> Array:
        """Return `values` ``[units, ...]`` less what the null basis explains."""
        left: Array = values - self._null @ (self._null.T @ values)
        return left


def cluster_test(
    regression: PartialRegression,
    neighbours: NDArray[np.bool_],
    permutations: int = 1000,
    seed: int = 0,
    progress: Progress | None = None,
    shift: bool = False,
) -> ClusterTest:
    """Test whether an attribute makes a difference anywhere, and mark where.

    Parameters
    ----------
    regression
        Regression of the EEG on the attribute.
    neighbours
        ``[channels, channels]``: which electrodes may be of one cluster.
    permutations
        How many orders, the true one among them; the smallest p is one over this number. Fewer where `shift` has fewer.
    seed
        Seed of the shuffles.
    progress
        Told how many permutations are done and of how many.
    shift
        Whether units move along by as many places in every block, as where blocks share one order of trials, in place
        of being shuffled.
    """
    from mne.stats import combine_adjacency, permutation_cluster_test
    from scipy.sparse import csr_matrix

    true, threshold = regression.statistic(), regression.threshold
    significant = np.zeros(true.shape, np.bool_)
    orders = (shifts if shift else shuffles)(regression.blocks, permutations - 1, seed)
    permutations = len(orders) + 1
    if not np.any(np.abs(true) > threshold):
        return ClusterTest(true, regression.name, regression.columns == 1, threshold, significant, 1.0, permutations)

    def maps() -> Iterator[Array]:
        yield true.ravel()
        for done, one in enumerate(regression.shuffled(orders), start=1):
            if progress is not None and not done % 20:
                progress(done, permutations)
            yield one.ravel()

    # mne asks for one map a permutation; they are made beforehand, so the samples that it shuffles are stand-ins.
    waiting, stand_in = maps(), np.zeros((1, *true.shape))
    _, clusters, p, _ = permutation_cluster_test(
        [stand_in, stand_in],
        threshold,
        permutations,
        tail=0 if regression.columns == 1 else 1,
        stat_fun=lambda *_: next(waiting),
        adjacency=combine_adjacency(len(true), csr_matrix(neighbours)),
        buffer_size=None,
        verbose="ERROR",
    )
    for cluster, value in zip(clusters, p, strict=True):
        if value < LEVEL_P:
            significant[cluster] = True
    return ClusterTest(
        true, regression.name, regression.columns == 1, threshold, significant, float(np.min(p)), permutations
    )


def _basis(columns: Array, scale: float | None = None) -> Array:
    """Return an orthonormal basis ``[n, rank]`` of columns; what is a millionth of `scale` is nothing."""
    left, sizes, _ = np.linalg.svd(columns, full_matrices=False)
    largest = float(sizes.max(initial=0.0)) if scale is None else scale
    basis: Array = left[:, sizes > 1e-6 * max(largest, 1e-30)]
    return basis
