"""The simulated background: what an amplifier records from a resting head.

1/f activity correlated across electrodes, posterior alpha, blinks, mains hum and sensor noise, each from a random
stream of its own and each carrying its state from call to call: the same samples come out however they are asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from realtime.sources.simulation.head import directions, spread, topography
from realtime.sources.simulation.sections import Sections

if TYPE_CHECKING:
    from numpy.typing import NDArray

ALPHA_POLES = ((("O1", 1.0), ("O2", 1.0)), (("P3", 1.0), ("PO7", 0.7)), (("P4", 1.0), ("PO8", 0.7)))
BLINK_POLES = (("Fp1", 1.0), ("Fp2", 1.0), ("Fpz", 1.0))


@dataclass(frozen=True)
class BackgroundSettings:
    """How loud each part of the background is, in microvolts (standard deviation, or peak where it says so).

    Attributes
    ----------
    pink_uv, pink_exponent, pink_width_rad
        1/f activity: level, exponent of the power spectrum, and distance over which electrodes are alike.
    alpha_uv, alpha_hz
        Posterior rhythm: level at its strongest electrode, and frequency.
    blink_uv, blinks_per_min
        Peak at the forehead, and mean rate.
    mains_uv, mains_hz
        Peak of the mains hum at the worst electrode, and its frequency.
    sensor_uv
        White noise, independent at each electrode.
    """

    pink_uv: float = 10.0
    pink_exponent: float = 1.2
    pink_width_rad: float = 0.6
    alpha_uv: float = 5.0
    alpha_hz: float = 10.0
    blink_uv: float = 120.0
    blinks_per_min: float = 10.0
    mains_uv: float = 3.0
    mains_hz: float = 50.0
    sensor_uv: float = 1.0


class Background:
    """A stream of background EEG.

    Parameters
    ----------
    channels
        Electrode names.
    rate_hz
        Sampling rate.
    seed
        One number or several; equal seeds give equal samples.
    settings
        Levels.
    """

    def __init__(
        self, channels: tuple[str, ...], rate_hz: float, seed: list[int], settings: BackgroundSettings
    ) -> None:
        streams = [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(5)]
        self._pink_rng, self._alpha_rng, self._blink_rng, mains_rng, self._sensor_rng = streams
        self._rate_hz, self._settings, self._n = rate_hz, settings, 0
        n_channels = len(channels)

        covariance = spread(directions(channels), directions(channels), settings.pink_width_rad)
        values, vectors = np.linalg.eigh(covariance)
        self._pink_mixing = (vectors * np.sqrt(np.maximum(values, 0.0))).T * settings.pink_uv
        self._pink = self._settled(_pink_sos(rate_hz, settings.pink_exponent), n_channels, self._pink_rng)

        maps = np.array([topography(channels, poles, 0.5) for poles in ALPHA_POLES])
        self._alpha_mixing = maps * settings.alpha_uv
        self._alpha = self._settled(_resonator_sos(rate_hz, settings.alpha_hz), len(maps), self._alpha_rng)

        self._blink_map = topography(channels, BLINK_POLES, 0.5) * settings.blink_uv
        self._blinks: list[float] = []
        self._next_blink_s = self._blink_gap()

        self._mains_gain = settings.mains_uv * mains_rng.uniform(0.2, 1.0, n_channels)
        self._mains_phase = mains_rng.uniform(0, 2 * np.pi)

    def take(self, count: int) -> NDArray[np.float64]:
        """Return the next `count` samples, ``[count, channels]`` in microvolts."""
        if not count:
            return np.zeros((0, len(self._mains_gain)))
        times = (self._n + np.arange(count)) / self._rate_hz
        self._n += count
        pink = self._pink.filter(self._pink_rng.normal(size=(count, len(self._pink_mixing))))
        alpha = self._alpha.filter(self._alpha_rng.normal(size=(count, len(self._alpha_mixing))))
        mains = np.sin(2 * np.pi * self._settings.mains_hz * times + self._mains_phase)
        sensor = self._sensor_rng.normal(size=(count, len(self._mains_gain))) * self._settings.sensor_uv
        samples: NDArray[np.float64] = pink @ self._pink_mixing + alpha @ self._alpha_mixing + sensor
        samples += mains[:, None] * self._mains_gain + self._blinking(times)[:, None] * self._blink_map
        return samples

    def _blinking(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the lid's course, zero to one, ``[times]``."""
        while self._next_blink_s <= times[-1]:
            self._blinks.append(self._next_blink_s)
            self._next_blink_s += self._blink_gap()
        self._blinks = [start for start in self._blinks if start > times[0] - 1.0]
        course = np.zeros(len(times))
        for start in self._blinks:
            after = np.clip(times - start, 0.0, None)
            course += (after / 0.07) ** 2 * np.exp(2 - 2 * after / 0.07)  # peak of one after 70 ms, gone after 0.5 s
        return course

    def _blink_gap(self) -> float:
        if self._settings.blinks_per_min <= 0:
            return float("inf")
        mean_s = 60.0 / self._settings.blinks_per_min
        return 0.5 + float(self._blink_rng.exponential(max(mean_s - 0.5, 0.1)))

    def _settled(self, sos: NDArray[np.float64], width: int, rng: np.random.Generator) -> Sections:
        """Return the filter as it is after 20 s of noise, so that the first samples are like all others."""
        sections = Sections(sos, width)
        sections.filter(rng.normal(size=(int(20 * self._rate_hz), width)))
        return sections


def _pink_sos(rate_hz: float, exponent: float) -> NDArray[np.float64]:
    """Return a filter that turns white noise into noise of unit variance with power falling as ``1/f**exponent``.

    Poles and zeros alternate at even distances on a logarithmic axis from 0.1 Hz to the Nyquist frequency;
    each zero stands the share `exponent` / 2 of the way from its pole to the next.
    """
    n_pairs = 8
    step = np.log(rate_hz / 2 / 0.1) / n_pairs
    pole_hz = 0.1 * np.exp(step * np.arange(n_pairs))
    zero_hz = pole_hz * np.exp(step * exponent / 2)
    zeros, poles = (np.exp(-2 * np.pi * hz / rate_hz).reshape(-1, 2) for hz in (zero_hz, pole_hz))
    sos = np.array([[*np.poly(zero), *np.poly(pole)] for zero, pole in zip(zeros, poles, strict=True)])
    return _unit_variance(sos, rate_hz)


def _resonator_sos(rate_hz: float, frequency_hz: float) -> NDArray[np.float64]:
    """Return a second-order resonator, 1.5 Hz wide, that turns white noise into a rhythm of unit variance."""
    radius, angle = np.exp(-np.pi * 1.5 / rate_hz), 2 * np.pi * frequency_hz / rate_hz
    sos = np.array([[1.0, 0.0, 0.0, 1.0, -2 * radius * np.cos(angle), radius**2]])
    return _unit_variance(sos, rate_hz)


def _unit_variance(sos: NDArray[np.float64], rate_hz: float) -> NDArray[np.float64]:
    impulse = np.zeros((int(60 * rate_hz), 1))
    impulse[0] = 1.0
    scaled = sos.copy()
    scaled[0, :3] /= np.sqrt(np.sum(Sections(sos, 1).filter(impulse) ** 2))
    return scaled
