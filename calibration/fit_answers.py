"""How windows are answered before they end: what held-out trials come to by then, and how far that may be believed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.model.examples import Examples
from calibration.model.linear_model import Mapping
from calibration.model.noise import noise_over_time, some_of
from calibration.model.ridge import threads_for
from calibration.scores.class_scores import auc, pair_evidence
from calibration.scores.confidence import fit_logit, make_choices
from calibration.scores.retrieval import retrieve
from realtime.decoding.early_answers import EarlyAnswers, expectation
from realtime.decoding.gallery import Gallery

Index = NDArray[np.int64]

PARTS = 16
"""Parts of a window; answers are judged after each of them but the last."""
_FEWEST = 20
"""Trials without which no confidence is calibrated."""
_MOST = 2000
"""Trials that are judged; of more, as many are drawn."""
_BLOCK = 1024
"""Trials that are copied at a time."""


class HeldOutAnswers:
    """Collects what maps say of trials that they never saw, at times before the window's end, fold after fold.

    Parameters
    ----------
    examples
        The trials of the cross-validation.
    seed
        Seed of which trials are judged, where there are very many.

    Attributes
    ----------
    seen
        After how many samples windows are answered; the last is the whole window.
    rows
        int64 ``[judged]``: the trials that are judged.
    moved, level
        float32 ``[times, judged, dims]``: the answers, about what the map of the fold says of the mean window,
        ``[judged, dims]``.
    """

    def __init__(self, examples: Examples, seed: int) -> None:
        self._examples = examples
        n, n_times, _ = examples.samples.shape
        self.seen = np.unique(np.round(np.arange(1, PARTS + 1) * n_times / PARTS).clip(1).astype(np.int64))
        self.rows = np.sort(np.random.default_rng(seed).permutation(n)[:_MOST])
        dims = examples.targets.shape[1]
        self.moved = np.empty((len(self.seen), len(self.rows), dims), dtype=np.float32)
        self.level = np.empty((len(self.rows), dims), dtype=np.float32)

    def __call__(self, mapping: Mapping, test: NDArray[np.bool_]) -> None:
        """Take in one fold: its map, and which trials ``[trials]`` that did not see."""
        places, samples = np.flatnonzero(test[self.rows]), self._examples.samples
        taught = np.flatnonzero(~test & self._examples.teaches)
        noise = noise_over_time(samples[some_of(taught)])
        total = np.zeros(samples.shape[1:])
        for start in range(0, len(taught), _BLOCK):  # all of them once more would be a gigabyte of very many
            total += samples[taught[start : start + _BLOCK]].sum(axis=0, dtype=np.float64)
        mean = (total / len(taught)).astype(np.float32)
        away = samples[self.rows[places]] - mean
        self.level[places] = mapping.map.predict(mean[None])
        weights = mapping.map.weights
        flat, channels = weights.reshape(-1, weights.shape[2]), weights.shape[1]
        total = np.zeros((len(places), weights.shape[2]), dtype=np.float32)
        begin = 0
        with threads_for(len(places), len(flat)):
            for number, seen in enumerate(self.seen):
                total += _flat(away[:, begin:seen]) @ flat[begin * channels : seen * channels]
                begin = seen
                rest = expectation(noise, seen)[seen:].astype(np.float32) @ away[:, :seen]
                self.moved[number, places] = total + _flat(rest) @ flat[seen * channels :]

    def judged(
        self, names: NDArray[np.str_], folds: Index, gallery: Gallery, first_s: float, rate_hz: float, seed: int
    ) -> tuple[EarlyAnswers | None, list[dict[str, Any]]]:
        """Return what a session needs to answer early, and the score at each time; None where trials are too few.

        Parameters
        ----------
        names, folds
            ``[trials]``: the gallery entry that was shown, and the fold of the cross-validation.
        gallery
            What can be the answer.
        first_s, rate_hz
            Time of the window's first sample in seconds after onset, and the rate of its samples.
        seed
            Seed of which predictions are judged, where there are very many.
        """
        own = gallery.places(names[self.rows])
        folds = folds[self.rows]
        times_s, stretches, gains, scores = [], [], [], []
        usual = _length(self.moved[-1], gallery)
        for seen, moved in zip(self.seen, self.moved, strict=True):
            stretch = usual / max(_length(moved, gallery), 1e-12)
            predicted = self.level + np.float32(stretch) * moved
            choices = make_choices(predicted, own, folds, gallery, 1, seed)
            if len(choices) < _FEWEST:
                return None, []
            gains.append(fit_logit([choices])[0])
            times_s.append(round(first_s + seen / rate_hz, 6))
            stretches.append(round(stretch, 6))
            name, score = _score(predicted, own, folds, gallery)
            scores.append({"at_s": times_s[-1], name: score})
        shares = [round(gain / gains[-1], 6) for gain in gains]
        taught = np.flatnonzero(self._examples.teaches)
        noise = noise_over_time(self._examples.samples[some_of(taught)]).astype(np.float32)
        told = [one | {"share_of_evidence": share} for one, share in zip(scores, shares, strict=True)]
        return EarlyAnswers(noise, tuple(times_s), tuple(stretches), tuple(shares)), told


def _flat(windows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return windows ``[n, times, channels]`` as rows, ``[n, times × channels]``."""
    return windows.reshape(len(windows), windows.shape[1] * windows.shape[2])


def _length(moved: NDArray[np.float32], gallery: Gallery) -> float:
    """Return the usual length of answers ``[n, dims]``, in standard deviations of the gallery."""
    scale = np.divide(1.0, gallery.std, out=np.zeros_like(gallery.std), where=gallery.std > 0)
    return float(np.median(np.linalg.norm(moved * scale, axis=1)))


def _score(predicted: NDArray[np.float32], own: Index, folds: Index, gallery: Gallery) -> tuple[str, float]:
    """Return the name and value of the score that stands for a map, as `calibration.scores.summary.headline` does."""
    if gallery.told_apart:
        return "auc", auc(pair_evidence(predicted, gallery), own, folds)
    return "two_way", retrieve(predicted, own, folds, gallery).score
