"""From a fitted estimator to a bundle: what a live stream must match, or why none ever can."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from calibration.data.targets import Targets
from calibration.data.trials import Trials
from calibration.errors import FitError
from calibration.fit import fit_trials
from calibration.model.examples import Examples
from configs.schema import Config, FilterSettings
from perceptogram.estimators.inputs import Input
from realtime.decoding.bundle import Bundle
from realtime.decoding.gallery import Gallery
from realtime.epoching.filters import FilterChain
from realtime.sources.base import StreamSpec, same_rate
from realtime.spaces import EmbeddingSpace

NO_FILTERS = FilterSettings(highpass_hz=None, lowpass_hz=None)


def live_bundle(
    read: Input,
    examples: Examples,
    times_s: NDArray[np.float64] | None,
    gallery: Gallery,
    config: Config,
    stream: StreamSpec | None,
    filters: FilterSettings | None,
    space: EmbeddingSpace | None,
) -> Bundle:
    """Return the bundle of a map that was fitted on `examples`.

    Parameters
    ----------
    read
        The epochs as they were given.
    examples
        The trials of them that the map was fitted on.
    times_s
        ``[times]`` of their samples after onset.
    gallery
        The pictures, by the names that the examples have.
    config
        The settings of the fit.
    stream, filters, space
        As for `EmbeddingRegressor.to_bundle`.

    Raises
    ------
    FitError
        If no stream can be decoded alike, or it is not known how.
    """
    if read.cut is not None and read.cut.changed is not None:
        changed = f"the epochs were changed after they had been cut; {read.cut.changed}"
        msg = f"no stream can be decoded with this map: {changed}"
        raise FitError(msg)
    if not set(examples.names.tolist()) <= set(gallery.names):
        msg = "the gallery does not name the pictures that were shown: give one whose names are those of the metadata"
        raise FitError(msg)
    targets = Targets(gallery, space or EmbeddingSpace("given", "in memory", examples.targets.shape[1]))
    if read.cut is not None and stream is None and filters is None:
        made = fit_trials(read.cut.trials, targets, config).bundle
        made.provenance["recordings"] = list(read.cut.recordings)
        return made
    trials, settings = _as_trials(read, examples, times_s, config, stream, filters)
    return fit_trials(trials, targets, settings).bundle


def _as_trials(
    read: Input,
    examples: Examples,
    times_s: NDArray[np.float64] | None,
    config: Config,
    stream: StreamSpec | None,
    filters: FilterSettings | None,
) -> tuple[Trials, Config]:
    """Return the examples as trials of the stream that was told, and the settings with its filters."""
    if stream is None:
        msg = "which stream will be decoded? Give to_bundle(stream=StreamSpec(...)), or fit epochs of read_epochs"
        raise FitError(msg)
    if times_s is None:
        msg = "when the samples were taken is not known: give EmbeddingRegressor(tmin=..., sfreq=...) or mne.Epochs"
        raise FitError(msg)
    rate_hz = (len(times_s) - 1) / float(times_s[-1] - times_s[0])
    chain = FilterChain(filters or NO_FILTERS, stream.rate_hz, len(stream.channels))
    n_channels = examples.samples.shape[2]
    faults = _never(read, config, filters)
    if len(stream.channels) != n_channels:
        faults.append(f"the epochs have {n_channels} channels, the stream {len(stream.channels)}")
    elif read.epochs is not None and tuple(read.epochs.ch_names) != stream.channels:
        faults.append("the stream's channels must be those of the epochs, in their order")
    if not same_rate(chain.rate_hz, rate_hz):
        faults.append(f"the epochs have {rate_hz:g} Hz, the stream gives {chain.rate_hz:g} Hz behind the filters")
    if abs(times_s[0] * rate_hz - round(times_s[0] * rate_hz)) > 1e-3:
        faults.append(f"the window begins at {times_s[0]:g} s, which lies between two samples of {rate_hz:g} Hz")
    if faults:
        msg = f"no stream can be decoded with this map: {'; '.join(faults)}"
        raise FitError(msg)
    stop_s = float(times_s[-1]) + 1 / rate_hz
    window = config.window.model_copy(
        update={"start_s": max(config.window.start_s, float(times_s[0])), "stop_s": stop_s}
    )
    n = len(examples)
    trials = Trials(
        samples=examples.samples,
        names=examples.names.astype(np.str_),
        onsets=np.arange(n, dtype=np.float64),
        recordings=np.zeros(n, np.int64),
        times_s=times_s,
        rate_hz=chain.rate_hz,
        spec=replace(stream, channels=tuple(stream.channels)),
        filters=chain.describe(),
        flags=((),) * n,
        simulated=config.simulated,
    )
    return trials, config.model_copy(update={"window": window, "filters": filters or NO_FILTERS})


def _never(read: Input, config: Config, filters: FilterSettings | None) -> list[str]:
    """Return why the epochs' treatment can have no equal in a stream, as far as they tell."""
    faults, window = [], config.window
    if window.baseline_s is not None and window.baseline_s[1] > window.stop_s:
        faults.append(f"the baseline {list(window.baseline_s)} ends after the window, so it is not known in time")
    epochs = read.epochs
    if epochs is None:
        return faults
    high, low, rate_hz = epochs.info["highpass"], epochs.info["lowpass"], epochs.info["sfreq"]
    if filters is None and (high > 0 or low < rate_hz / 2 - 1e-6):
        faults.append(
            f"the epochs were filtered ({high:g} to {low:g} Hz), as MNE does by default with zero phase, which needs "
            "samples that are not there yet: filter causally as a session does (perceptogram.read_epochs)"
        )
    if epochs.baseline is not None and epochs.baseline != window.baseline_s:
        told = [None if edge is None else round(edge, 3) for edge in epochs.baseline]
        faults.append(f"MNE has subtracted a baseline {told}: set window.baseline_s to it, or leave it out")
    return faults
