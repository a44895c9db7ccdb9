"""A bundle on recordings that it has never seen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.data.reading import read_windows
from calibration.data.trials import Trials
from calibration.errors import FitError
from calibration.model.examples import counts
from calibration.model.folding import LinearMap
from calibration.scores.class_scores import auc_of_each, pair_evidence, relabellings
from calibration.scores.permutation_null import Null
from calibration.scores.summary import headline, summarise
from configs.schema import Config
from realtime.decoding.bundle import Bundle
from realtime.decoding.gallery import Gallery
from realtime.decoding.other_cap import fitted


def evaluate(bundle: Bundle, recordings: Sequence[str | Path], config: Config) -> dict[str, Any]:
    """Return the scores of `bundle` on `recordings`, ready to be written as JSON.

    The baseline score is that of the same map on pre-stimulus windows; it is left out where none could be cut.

    Parameters
    ----------
    bundle
        The map, with its gallery and window.
    recordings
        Files of the stream that the bundle was fitted for; of another cap, it is made to fit that
        (`realtime.decoding.other_cap`).
    config
        Markers, artefact limits, and permutations and seed of the null; what the bundle fixes replaces the rest.

    Raises
    ------
    BundleError
        If the recordings' filters or window do not fit the bundle, or too little is to be expected of their cap.
    FitError
        If the recordings hold no usable trial, or pictures that the bundle does not know.
    """
    config = bundle.completed(config)
    windows = read_windows(recordings, config, like=bundle.spec)
    cap = fitted(bundle, windows.trials.spec, config.stream.least_of_score)
    bundle = cap.bundle
    trials, earlier = (part.with_channels(bundle.spec.channels) for part in (windows.trials, windows.pre_stimulus))
    bundle.check_stream(trials.spec, trials.filters, trials.rate_hz, len(trials.times_s), float(trials.times_s[0]))
    found = score(bundle, trials, config)
    earlier = earlier.take(np.isin(earlier.names, bundle.gallery.names))
    if len(earlier):
        null = score(bundle, earlier, config, permutations=0)
        name, value = headline(null)
        found |= {f"baseline_{name}": value, f"baseline_{name}_interval": null.get(f"{name}_interval")}
    found |= counts(trials)
    if cap.text is not None:
        found |= {"cap": cap.facts, "notices": [cap.text, *found["notices"]]}
    return found


def score(bundle: Bundle, trials: Trials, config: Config, permutations: int | None = None) -> dict[str, Any]:
    """Return the scores of the map of `bundle` on `trials`, all compared with one another.

    Parameters
    ----------
    bundle
        The map, with its gallery.
    trials
        Epochs that the map was not fitted on.
    config
        Permutations and seed of the null.
    permutations
        Size of the null instead of the settings'; 0 leaves p-values out.

    Raises
    ------
    FitError
        If the bundle does not know a picture that was shown.
    """
    unknown = sorted(set(trials.names.tolist()) - set(bundle.gallery.names))
    if unknown:
        msg = (
            f"the bundle does not know {', '.join(map(repr, unknown[:3]))}: fit it with the picture set that was shown"
        )
        raise FitError(msg)
    predicted, gallery = compared(bundle, trials.samples), bundle.candidates
    together = np.zeros(len(trials), dtype=np.int64)
    size = config.fit.permutations if permutations is None else permutations
    chance = None
    if size and config.fit.exchange == "shift" and gallery.told_apart:
        chance = _in_step(predicted, trials, gallery, size, config.fit.seed)
    return summarise(predicted, trials.names, together, gallery, size, config.fit.seed, chance)


def compared(bundle: Bundle, samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what a session would compare with the bundle's candidates of windows ``[trials, times, channels]``."""
    head = bundle.identification
    if head is None:
        return LinearMap(bundle.weights, bundle.bias).predict(samples)
    return head.finish(LinearMap(head.weights, head.bias).predict(samples))


def _in_step(predicted: NDArray[np.float32], trials: Trials, gallery: Gallery, permutations: int, seed: int) -> Null:
    """Return AUCs of labels that moved along alike in all recordings; see ``fit.exchange``."""
    own = gallery.places(trials.names)
    moved = relabellings(own, trials.recordings, permutations, seed, "shift")
    evidence, together = pair_evidence(predicted, gallery)[None], np.zeros(len(trials), dtype=np.int64)
    found = auc_of_each(evidence, np.concatenate([own[None], moved]), together)
    return Null(float(found[0]), found[1:])
