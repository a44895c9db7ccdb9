"""Settings of how single trials add up to percepts, and of how soon they are answered."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from configs.base import Settings


def _adapting(told: object) -> object:
    return {True: "follow", False: "none"}[told] if isinstance(told, bool) else told


class EvidenceSettings(Settings):
    """How single trials add up."""

    accumulate: bool = True
    """Average the repeats of one picture."""
    abstain_below: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Confidence under which no picture is shown."""
    decide_above: Annotated[float, Field(gt=0, le=1)] = 0.9
    """Confidence from which a picture needs no more repeats."""
    answer_at_s: tuple[Annotated[float, Field(gt=0)], ...] | Annotated[float, Field(ge=0.01)] = ()
    """Times in seconds after onset at which a window that is still open is answered, for example ``[0.2, 0.3, 0.4]``;
    or one number: every so many seconds. An answer that is decided (`decide_above`) ends the window."""
    preview_above: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Confidence of such an answer from which its picture is painted, once a trial; the whole window's goes on from
    it."""
    neighbours: Annotated[int, Field(ge=1, le=20)] = 5
    """How many of the nearest pictures a percept names."""
    adapt: Annotated[Literal["none", "eeg", "embeddings", "both", "follow"], BeforeValidator(_adapting)] = "none"
    """What is made like the calibration, without labels: ``eeg`` (its covariance), ``embeddings`` (mean and size of
    each dimension) or ``both``, by a session's first windows and from then on alike; ``follow`` (or ``true``) follows
    slow changes of the embeddings. Only where a session's pictures are varied."""
    adapt_windows: Annotated[int, Field(ge=10, le=1000)] = 50
    """How many windows are the first ones; flagged ones are not among them."""
    adapt_trials: Annotated[float, Field(ge=10)] = 100
    """How many trials ``follow`` remembers."""

    def answer_times(self, start_s: float, stop_s: float) -> tuple[float, ...]:
        """Return the times of `answer_at_s`, rising; where it is one number, its multiples inside the window.

        Parameters
        ----------
        start_s, stop_s
            The window, in seconds after onset.
        """
        if isinstance(self.answer_at_s, tuple):
            return tuple(sorted(set(self.answer_at_s)))
        step_s = self.answer_at_s
        first = max(1, math.floor(start_s / step_s + 1e-9) + 1)
        return tuple(number * step_s for number in range(first, math.ceil(stop_s / step_s - 1e-9)))
