"""Settings of how single trials add up to percepts."""

from __future__ import annotations

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
