"""The simulated participant without a clock: onsets of pictures in, EEG out, the same live and offline."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from realtime.electrodes import CHANNELS_64
from realtime.sources.simulation.background import Background, BackgroundSettings
from realtime.sources.simulation.evoked import FIRST_S, LAST_S, EvokedResponse, activations, components
from realtime.sources.simulation.features import picture_features
from stimuli.markers import PICTURE, Marker

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from configs.schema import Config
    from stimuli.picture_set import PictureSet


@dataclass(frozen=True)
class SimulationSettings:
    """Who is simulated and how well they can be read.

    Attributes
    ----------
    seed
        The person: which direction each concept has. Equal seeds are the same person.
    session
        The day: noise and trial-to-trial variation differ between sessions of one person.
    snr
        Size of the evoked response: 0 for none at all, 1 for the default.
    rate_hz, channels
        Sampling rate and channels of the stream.
    gain_spread, jitter_s
        Trial-to-trial variation: standard deviation of the logarithm of the size, and of the latency.
    silent
        Attributes that evoke nothing, such as ``"hue"``; see `evoked.Component.attribute`.
    background
        Levels of the background.
    """

    seed: int = 0
    session: int = 0
    snr: float = 1.0
    rate_hz: float = 250.0
    channels: tuple[str, ...] = CHANNELS_64
    gain_spread: float = 0.25
    jitter_s: float = 0.004
    silent: tuple[str, ...] = ()
    background: BackgroundSettings = field(default_factory=BackgroundSettings)

    def __post_init__(self) -> None:
        """Refuse what cannot be simulated."""
        if self.snr < 0:
            msg = f"snr ({self.snr:g}) must be 0 (no response) or more"
            raise ValueError(msg)
        if self.rate_hz < 100:
            msg = f"rate_hz ({self.rate_hz:g}) must be at least 100"
            raise ValueError(msg)
        known = dict.fromkeys(part.attribute for part in components(("Cz",)))
        if unknown := [name for name in self.silent if name not in known]:
            msg = f"silent: there is no response to {unknown[0]!r}; choose from {', '.join(known)}"
            raise ValueError(msg)


def stand_in(config: Config, seed: int, snr: float) -> SimulationSettings:
    """Return a participant whose stream can be read: with the channels wanted, at a rate that the wanted one divides.

    Parameters
    ----------
    config
        The channels, and the rate after decimation.
    seed
        The person; equal seeds are the same one.
    snr
        Size of the evoked response: 0 for none at all, 1 for the default.
    """
    usual_hz = SimulationSettings.rate_hz
    wanted_hz = config.filters.rate_hz
    rate_hz = usual_hz if wanted_hz is None else wanted_hz * math.ceil(usual_hz / wanted_hz)
    return SimulationSettings(seed=seed, snr=snr, rate_hz=rate_hz, channels=config.stream.channels or CHANNELS_64)


@dataclass(frozen=True)
class _Response:
    onset: float
    strengths: NDArray[np.float64]


class Participant:
    """A head that hears of onsets and yields EEG sample by sample.

    Parameters
    ----------
    pictures
        Where the pictures named by the markers are looked up.
    settings
        Who, when and how loud.
    start
        Time of the first sample, on the clock of the markers' timestamps.
    """

    def __init__(self, pictures: PictureSet, settings: SimulationSettings, start: float) -> None:
        self.settings = settings
        parts = components(settings.channels)
        self._evoked = EvokedResponse(parts)
        self._heard = np.array([part.attribute not in settings.silent for part in parts], dtype=np.float64)
        self._pictures = pictures
        self.start, self._n = start, 0
        self._background = Background(
            settings.channels, settings.rate_hz, [settings.seed, settings.session, 0], settings.background
        )
        self._trial_rng = np.random.default_rng([settings.seed, settings.session, 1])
        self._responses: list[_Response] = []
        self._known: dict[str, NDArray[np.float64]] = {}

    @property
    def next_timestamp(self) -> float:
        """Time of the next sample."""
        return self.start + self._n / self.settings.rate_hz

    def see(self, marker: Marker) -> float:
        """Begin the response to a picture's onset; other markers change nothing.

        Returns
        -------
        float
            Time in seconds by which the samples already given out run past the onset; more than
            `evoked.FIRST_S` means that the beginning of the response is lost.

        Raises
        ------
        stimuli.picture_set.PictureError
            If the picture is not in the set.
        """
        if marker.kind == PICTURE and marker.picture is not None:
            strengths = self.look_up(marker.picture)
            gain = np.exp(self.settings.gain_spread * self._trial_rng.normal())
            shift = self.settings.jitter_s * float(np.clip(self._trial_rng.normal(), -2.5, 2.5))
            self._responses.append(_Response(marker.timestamp + shift, strengths * gain * self.settings.snr))
        return self.next_timestamp - marker.timestamp

    def look_up(self, picture: str) -> NDArray[np.float64]:
        """Return a picture's activations, remembered; safe to call from another thread before `see`.

        Raises
        ------
        stimuli.picture_set.PictureError
            If the picture is not in the set.
        """
        if picture not in self._known:
            strengths = activations(picture_features(self._pictures, picture), self.settings.seed)
            self._known[picture] = strengths * self._heard
        return self._known[picture]

    def take(self, count: int) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Return the timestamps ``[count]`` and samples ``[count, channels]`` (microvolts) that come next."""
        timestamps = self.start + (self._n + np.arange(count)) / self.settings.rate_hz
        self._n += count
        samples = self._background.take(count)
        if count:
            self._responses = [r for r in self._responses if r.onset + LAST_S >= timestamps[0]]
        for response in self._responses:
            first, last = np.searchsorted(timestamps, (response.onset + FIRST_S, response.onset + LAST_S))
            if first < last:
                samples[first:last] += self._evoked.at(timestamps[first:last] - response.onset, response.strengths)
        return timestamps, samples.astype(np.float32)


def expected_response(
    pictures: PictureSet,
    names: Sequence[str],
    times_s: NDArray[np.float64],
    settings: SimulationSettings,
    attributes: Sequence[str] | None = None,
) -> NDArray[np.float64]:
    """Return the ground truth: each picture's response without noise and trial-to-trial variation.

    Parameters
    ----------
    pictures, names
        Set and pictures.
    times_s
        ``[times]`` after onset.
    settings
        Who looks.
    attributes
        The response to these alone, as `evoked.Component.attribute` names them; to all when left out.

    Returns
    -------
    float64 ``[pictures, times, channels]`` in microvolts.
    """
    participant = Participant(pictures, settings, start=0.0)
    evoked = EvokedResponse(components(settings.channels))
    chosen = np.array([attributes is None or part.attribute in attributes for part in evoked.parts], dtype=np.float64)
    return np.stack([settings.snr * evoked.at(times_s, participant.look_up(name) * chosen) for name in names])


def simulate_recording(
    pictures: PictureSet,
    onsets: Sequence[tuple[str, float]],
    settings: SimulationSettings | None = None,
    *,
    tail_s: float = 1.5,
) -> tuple[NDArray[np.float64], NDArray[np.float32], list[Marker]]:
    """Return a recording of the simulated participant, without waiting for it.

    Parameters
    ----------
    pictures
        Set that has the pictures.
    onsets
        Picture names with their onset times in seconds; the recording begins at 0.
    settings
        Who, when and how loud; the defaults when left out.
    tail_s
        How long to record after the last onset.

    Returns
    -------
    timestamps
        float64 ``[samples]`` in seconds.
    samples
        float32 ``[samples, channels]`` in microvolts.
    markers
        One a picture, in order of time.
    """
    chosen = settings or SimulationSettings()
    ordered = sorted(onsets, key=lambda onset: onset[1])
    markers = [
        Marker(onset, PICTURE, name, {"trial": trial, "block": 0}) for trial, (name, onset) in enumerate(ordered)
    ]
    participant = Participant(pictures, chosen, start=0.0)
    total = round(((ordered[-1][1] if ordered else 0.0) + tail_s) * chosen.rate_hz)
    timestamps, pieces, given = np.arange(total) / chosen.rate_hz, [], 0
    for marker in markers:
        due = max(0, min(total, int(np.floor(marker.timestamp * chosen.rate_hz))) - given)
        pieces.append(participant.take(due)[1])
        participant.see(marker)
        given += due
    pieces.append(participant.take(total - given)[1])
    return timestamps, np.concatenate(pieces), markers
