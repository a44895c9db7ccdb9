"""Settings of what is made of the samples: filters, the window around a stimulus, what makes it doubtful."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from configs.base import Positive, Settings


class FilterSettings(Settings):
    """Causal filters, applied in this order; windows are then reduced to `rate_hz`, each from its own onset on."""

    highpass_hz: Positive | None = 0.3
    """Corner of the Butterworth high-pass in Hz, which takes out drifts; ``null`` for none."""
    lowpass_hz: Positive | None = 40.0
    """Corner of the Butterworth low-pass in Hz, at most half of `rate_hz`; ``null`` for none."""
    notch_hz: Positive | None = None
    """Frequency in Hz that a notch takes out, as the mains (50 or 60); ``null`` for none."""
    order: Annotated[int, Field(ge=1, le=8)] = 2
    """Order of the high-pass and of the low-pass: higher is steeper and delays more."""
    rate_hz: Positive | None = None
    """Rate in Hz to reduce to; must divide the stream's. Kept when left out."""

    @model_validator(mode="after")
    def _ordered(self) -> FilterSettings:
        if self.highpass_hz is not None and self.lowpass_hz is not None and self.highpass_hz >= self.lowpass_hz:
            msg = f"highpass_hz ({self.highpass_hz:g}) must be below lowpass_hz ({self.lowpass_hz:g})"
            raise ValueError(msg)
        if self.rate_hz is not None and self.lowpass_hz is not None and self.lowpass_hz > self.rate_hz / 2:
            msg = f"lowpass_hz ({self.lowpass_hz:g}) must be at most half of rate_hz ({self.rate_hz:g})"
            raise ValueError(msg)
        return self


class WindowSettings(Settings):
    """The part of the EEG around a stimulus that is decoded, in seconds after onset."""

    start_s: float = 0.0
    """First moment that is decoded, in seconds after onset."""
    stop_s: float = 0.8
    """End of what is decoded, in seconds after onset; a percept cannot come before."""
    baseline_s: tuple[float, float] | None = None
    """Interval in seconds after onset whose mean is subtracted (folded into the map), for example ``[-0.2, 0.0]``."""

    @model_validator(mode="after")
    def _ordered(self) -> WindowSettings:
        if self.stop_s <= self.start_s:
            msg = f"stop_s ({self.stop_s:g}) must be after start_s ({self.start_s:g})"
            raise ValueError(msg)
        if self.baseline_s is not None and self.baseline_s[0] >= self.baseline_s[1]:
            msg = f"baseline_s {list(self.baseline_s)} must be [start, stop] with start before stop"
            raise ValueError(msg)
        return self

    @property
    def first_s(self) -> float:
        """Start of what must be cut: the window and, where there is one, the baseline before it."""
        return self.start_s if self.baseline_s is None else min(self.start_s, self.baseline_s[0])

    def pre_stimulus(self, rate_hz: float) -> WindowSettings:
        """Return the pre-stimulus window: moved, its baseline along, to end at onset, where nothing was seen yet.

        At `rate_hz` it holds as many samples as this one, wherever the limits lie between samples.
        """

        def moved_s(time_s: float) -> float:
            return (round(time_s * rate_hz) - round(self.stop_s * rate_hz)) / rate_hz

        baseline_s = None if self.baseline_s is None else (moved_s(self.baseline_s[0]), moved_s(self.baseline_s[1]))
        return self.model_copy(update={"start_s": moved_s(self.start_s), "stop_s": 0.0, "baseline_s": baseline_s})


class ArtefactSettings(Settings):
    """What marks an epoch as doubtful; marked epochs are dropped only where `drop` says so."""

    peak_to_peak_uv: Positive | None = 200.0
    """Largest swing of a channel in a window, in microvolts, above which the trial is marked; ``null`` for none."""
    flat_uv: Positive | None = 0.1
    """Swing in microvolts below which a channel counts as dead and the trial is marked; ``null`` for none."""
    drop: bool = False
    """Refuse marked trials in a live session; else they are decoded, and only the fit leaves them out."""
    take_out: bool = True
    """Decode a live session without an electrode that is flat, at the rails or far above `peak_to_peak_uv`, guessed
    from the others, until it is good again."""
