"""Trials of a calibration: epochs with what was shown in them, and the stimuli that gave none."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.errors import FitError
from configs.schema import Config
from realtime.epoching.epochs import RefusalKind
from realtime.sources.base import StreamSpec


@dataclass(frozen=True)
class Refusal:
    """A stimulus whose window could not be used."""

    recording: int
    onset: float
    name: str
    reason: str
    kind: RefusalKind


@dataclass(frozen=True)
class Trials:
    """Epochs with what was shown in them.

    Attributes
    ----------
    samples
        float32 ``[trials, times, channels]`` in microvolts, behind the filters.
    names
        ``[trials]``: the picture shown, or the class that the marker's label stands for.
    onsets
        float64 ``[trials]``: seconds on the recording's clock.
    recordings
        int64 ``[trials]``: which recording.
    times_s
        float64 ``[times]``: seconds after onset.
    rate_hz
        Rate of the samples.
    spec
        The stream, with the channels that were used, in their order.
    filters
        What was done to the samples.
    flags
        For each trial what makes it doubtful.
    refused
        Stimuli without a usable window.
    lost
        Samples lost in all recordings together.
    simulated
        Whether a simulated participant made the recordings.
    notices
        What people should know of how the recordings were read, one line each.
    """

    samples: NDArray[np.float32]
    names: NDArray[np.str_]
    onsets: NDArray[np.float64]
    recordings: NDArray[np.int64]
    times_s: NDArray[np.float64]
    rate_hz: float
    spec: StreamSpec
    filters: dict[str, Any] = field(default_factory=dict)
    flags: tuple[tuple[str, ...], ...] = ()
    refused: tuple[Refusal, ...] = ()
    lost: int = 0
    simulated: bool = False
    notices: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def delay_s(self) -> float:
        """Time by which the filters hold the EEG back."""
        return float(self.filters.get("delay_s") or 0.0)

    def with_channels(self, names: tuple[str, ...]) -> Trials:
        """Return the trials with the channels `names`, in that order: recordings may have others beside, or differ."""
        if names == self.spec.channels:
            return self
        columns = [self.spec.channels.index(name) for name in names]
        spec, filters = replace(self.spec, channels=names), self.filters | {"n_channels": len(names)}
        return replace(self, samples=self.samples[:, :, columns], spec=spec, filters=filters)

    def take(self, which: NDArray[Any]) -> Trials:
        """Return the trials that an index or a mask names."""
        kept = np.arange(len(self))[which]
        return replace(
            self,
            samples=self.samples[kept],
            names=self.names[kept],
            onsets=self.onsets[kept],
            recordings=self.recordings[kept],
            flags=tuple(self.flags[i] for i in kept) if self.flags else (),
        )


def why_none(trials: Trials, config: Config) -> str:
    """Return why there is no trial, in one line: what most were refused for, and what the readers told."""
    told = "".join(f"; {text}" for text in trials.notices)
    if trials.refused:
        kind, count = Counter(refusal.kind for refusal in trials.refused).most_common(1)[0]
        reason = next(refusal.reason for refusal in trials.refused if refusal.kind == kind)
        refused = f"all {len(trials.refused)} were refused, {count} of them as {kind}"
        return f"no usable trial: {refused}, for example: {reason}{told}"
    wanted = f"with one of the labels {', '.join(config.markers.classes)}" if config.markers.classes else "of a picture"
    return f"no trial: the recordings hold no marker {wanted}; check markers.name and markers.classes{told}"


def check_channels(trials: Trials) -> None:
    """Refuse trials in which a channel never moves.

    Raises
    ------
    FitError
        If a channel's swing stays below a millionth of a microvolt in every trial.
    """
    swing = np.ptp(trials.samples, axis=1).max(axis=0)
    flat = [name for name, size in zip(trials.spec.channels, swing, strict=True) if size <= 1e-6]
    if flat:
        msg = f"flat throughout: {', '.join(flat)}; mend the electrode, or list the others under stream.channels"
        raise FitError(msg)
