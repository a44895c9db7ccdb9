"""Causal filters that keep their state from sample to sample; windows then take every k-th sample of theirs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import signal

from configs.errors import InputError
from configs.schema import FilterSettings
from realtime.sources.base import same_rate
from realtime.timeline.sample_grid import Hole, TimedChunk

if TYPE_CHECKING:
    from numpy.typing import NDArray

NOTCH_QUALITY = 30.0
SETTLED = 0.01
"""Share of a filter's start-up energy that may be left once it counts as settled."""


class FilterChain:
    """High-pass, low-pass and notch as second-order sections, sample by sample.

    The output is bit-equal however the same samples are cut into chunks. After a hole the filters start again, as if
    the first sample's values had been there for ever. Nothing is left out here: which samples a reduced rate keeps,
    every window counts from its own onset (`realtime.epoching.epochs`), so it does not matter with which sample a
    stream or a recording begins.

    Parameters
    ----------
    settings
        Which filters, and the rate to which windows are reduced.
    rate_hz
        Sampling rate of what is pushed.
    n_channels
        Number of channels of what is pushed.

    Attributes
    ----------
    rate_hz
        Sampling rate of a window.
    factor
        Samples of the stream for one of a window.
    delay_s
        Group delay: median over the pass band.
    settle_s
        Time after a start until the slowest filter's start-up has lost 99 % of its energy.

    Raises
    ------
    InputError
        If a corner is not below half the sampling rate, or a window's rate does not divide it.
    """

    def __init__(self, settings: FilterSettings, rate_hz: float, n_channels: int) -> None:
        self.settings = settings
        self.factor = _factor(settings, rate_hz)
        self.rate_hz = rate_hz / self.factor
        self._stages = _stages(settings, rate_hz)
        self._sos = np.concatenate([*self._stages.values(), np.empty((0, 6))])
        self._steady = signal.sosfilt_zi(self._sos)[:, :, None] if len(self._sos) else np.empty((0, 2, 1))
        self._state: NDArray[np.float64] | None = None
        self._n_channels = n_channels
        self._rate_in_hz = rate_hz
        self.delay_s = _delay_s(self._sos, settings, rate_hz)
        self.settle_s = max((_settle_s(sos, rate_hz) for sos in self._stages.values()), default=0.0)

    def push(self, chunk: TimedChunk) -> TimedChunk:
        """Return `chunk` filtered; a sample with NaN or infinity is NaN, and starts the filters anew behind it."""
        finite: NDArray[np.bool_] = np.atleast_1d(np.isfinite(chunk.samples).all(axis=1))
        if finite.all():
            return replace(chunk, samples=self._filter(chunk.samples))
        filtered = np.full(chunk.samples.shape, np.nan, np.float32)
        edges = np.flatnonzero(np.diff(finite, prepend=not finite[0]))
        for start, stop in zip(edges, [*edges[1:], len(finite)], strict=True):
            if finite[start]:
                filtered[start:stop] = self._filter(chunk.samples[start:stop])
            else:
                self._state = None
        return replace(chunk, samples=filtered)

    def hole(self, hole: Hole) -> None:  # noqa: ARG002 - every hole, short or long, is a new start
        """Start anew behind `hole`."""
        self._state = None

    def describe(self) -> dict[str, Any]:
        """Return what was done to the samples, in plain types for a file."""
        return {
            **self.settings.model_dump(),
            "rate_in_hz": self._rate_in_hz,
            "n_channels": self._n_channels,
            "rate_hz": self.rate_hz,
            "stages": list(self._stages),
            "delay_s": self.delay_s,
            "settle_s": self.settle_s,
        }

    def _filter(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return `samples`, all finite and consecutive, filtered in double precision."""
        if not len(self._sos) or not len(samples):
            return samples
        if self._state is None:
            self._state = self._steady * samples[0].astype(np.float64)
        filtered, self._state = signal.sosfilt(self._sos, samples.astype(np.float64), axis=0, zi=self._state)
        return np.asarray(filtered, np.float32)


def _factor(settings: FilterSettings, rate_hz: float) -> int:
    if settings.rate_hz is None:
        return 1
    factor = round(rate_hz / settings.rate_hz)
    if factor < 1 or not same_rate(factor * settings.rate_hz, rate_hz):
        msg = f"filters.rate_hz ({settings.rate_hz:g}) must divide the stream's rate ({rate_hz:g} Hz)"
        raise InputError(msg)
    if factor > 1 and settings.lowpass_hz is None:
        msg = f"filters.lowpass_hz is needed to reduce {rate_hz:g} Hz to {settings.rate_hz:g} Hz without aliasing"
        raise InputError(msg)
    return factor


def _stages(settings: FilterSettings, rate_hz: float) -> dict[str, NDArray[np.float64]]:
    """Return each filter's second-order sections by name, in the order in which they are applied."""
    for name, corner in (
        ("highpass", settings.highpass_hz),
        ("lowpass", settings.lowpass_hz),
        ("notch", settings.notch_hz),
    ):
        if corner is not None and corner >= rate_hz / 2:
            msg = f"filters.{name}_hz ({corner:g}) must be below half the stream's rate ({rate_hz:g} Hz)"
            raise InputError(msg)
    stages = {}
    if settings.highpass_hz is not None:
        stages["highpass"] = signal.butter(settings.order, settings.highpass_hz, "highpass", fs=rate_hz, output="sos")
    if settings.lowpass_hz is not None:
        stages["lowpass"] = signal.butter(settings.order, settings.lowpass_hz, "lowpass", fs=rate_hz, output="sos")
    if settings.notch_hz is not None:
        stages["notch"] = signal.tf2sos(*signal.iirnotch(settings.notch_hz, NOTCH_QUALITY, fs=rate_hz))
    return stages


def _delay_s(sos: NDArray[np.float64], settings: FilterSettings, rate_hz: float) -> float:
    """Return the median group delay over the pass band; twice the high-pass corner is where its phase has calmed."""
    low = 2 * settings.highpass_hz if settings.highpass_hz is not None else 0.5
    high = settings.lowpass_hz if settings.lowpass_hz is not None else 0.4 * rate_hz
    band = np.linspace(min(low, 0.5 * high), high, 256)
    return float(np.nanmedian(_group_delay(sos, 2 * np.pi * band / rate_hz))) / rate_hz


def _group_delay(sos: NDArray[np.float64], omega: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the group delay in samples at `omega`, in radians a sample; NaN on a notch, where nothing passes.

    That of a polynomial b is Re(sum k b_k z^-k / sum b_k z^-k), and sections add up (Oppenheim and Schafer 2010,
    Discrete-Time Signal Processing, chapter 5). scipy's loses all digits where a pole lies close to the circle, as
    those of a slow high-pass do: it squares the polynomial first.
    """
    powers = np.arange(3)
    z = np.exp(-1j * np.outer(omega, powers))
    polynomials = sos.reshape(-1, 2, 3).transpose(1, 2, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        zeros, poles = np.real((z @ (powers[:, None] * polynomials)) / (z @ polynomials))
    return np.asarray((zeros - poles).sum(axis=-1))


def _settle_s(sos: NDArray[np.float64], rate_hz: float) -> float:
    """Return the time in which all but `SETTLED` of the energy of the impulse response behind its first sample is over.

    The first sample is what a high-pass or notch lets through at once; what comes after it is memory.
    """
    impulse = np.zeros(round(60 * rate_hz))
    impulse[0] = 1.0
    energy = np.cumsum(signal.sosfilt(sos, impulse)[:0:-1] ** 2)[::-1]
    return float(np.count_nonzero(energy > SETTLED * energy[0]) + 1) / rate_hz
