"""Folds of cross-validation that no group of trials is split by."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from calibration.errors import RidgeError


def grouped_folds(groups: Sequence[Hashable] | NDArray[np.generic], n_folds: int, seed: int) -> NDArray[np.int64]:
    """Return each trial's fold, ``[n]``; trials of one group are always in the same fold.

    Groups are shuffled by `seed`, then the largest are dealt first, each to the fold with the fewest trials.
    There are `n_folds` folds, or one a group where there are fewer groups.

    Parameters
    ----------
    groups
        ``[n]``: the group of each trial.
    n_folds
        Folds wanted; more leaves more trials to learn from and takes longer.
    seed
        Seed of the shuffle.

    Raises
    ------
    RidgeError
        If there are fewer than two groups, so that nothing can be held out.
    """
    _, labels, counts = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    if len(counts) < 2:
        msg = f"cross-validation needs at least two groups of trials, found {len(counts)}"
        raise RidgeError(msg)
    shuffled = np.random.default_rng(seed).permutation(len(counts))
    dealt = shuffled[np.argsort(-counts[shuffled], kind="stable")]
    filled = np.zeros(min(n_folds, len(counts)), dtype=np.int64)
    fold_of_group = np.empty(len(counts), dtype=np.int64)
    for group in dealt:
        fold = int(np.argmin(filled))
        fold_of_group[group] = fold
        filled[fold] += counts[group]
    folds: NDArray[np.int64] = fold_of_group[labels]
    return folds
