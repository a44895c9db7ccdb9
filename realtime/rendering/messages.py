"""What is asked of the renderer and what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from configs.schema import MAX_STEPS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from configs.schema import RenderSettings
    from realtime.processes.picture_slots import InSlot
    from realtime.sources.base import NoticeKind
    from realtime.spaces import EmbeddingSpace


@dataclass(frozen=True, eq=False)
class RenderRequest:
    """A picture to paint.

    Attributes
    ----------
    trial
        Which trial the embedding stands for.
    embedding
        float32 ``[dims]``.
    seed
        Seed of the initial noise.
    steps
        Number of denoising steps.
    ledger
        LSL clock times of the stages so far; frames carry them on.
    start
        float16 ``[4, h, w]``: the latent to start from, as the low-level map predicts it; None for pure noise.
    flow
        0 paints the percept; more, below 1, has the last picture glide towards it, so much of the way excepted.
    at_s
        Time after onset, in seconds, until which the window was read; None for all of it.
    preview
        Whether a picture of the same trial will follow, which goes on from this one.

    Raises
    ------
    ValueError
        If it cannot be painted: not one embedding, values that are not finite, no steps or more than `MAX_STEPS`.
    """

    trial: int
    embedding: NDArray[np.float32]
    seed: int
    steps: int
    ledger: Mapping[str, float] = field(default_factory=dict)
    start: NDArray[np.float16] | None = None
    flow: float = 0.0
    at_s: float | None = None
    preview: bool = False

    def __post_init__(self) -> None:
        embedding = np.asarray(self.embedding, dtype=np.float32, order="C")
        object.__setattr__(self, "embedding", embedding)
        wrong = None
        if embedding.ndim != 1 or not np.isfinite(embedding).all():
            wrong = f"needs one embedding of finite values (given: shape {list(embedding.shape)})"
        elif not 1 <= self.steps <= MAX_STEPS:
            wrong = f"can take 1 to {MAX_STEPS} steps (given: {self.steps})"
        elif self.start is not None and not (self.start.ndim == 3 and np.isfinite(self.start).all()):
            wrong = f"needs a start [channels, h, w] of finite values (given: shape {list(self.start.shape)})"
        if wrong is not None:
            msg = f"trial {self.trial}: a picture {wrong}"
            raise ValueError(msg)

    def check_for(self, space: EmbeddingSpace) -> None:
        """Refuse, with `ValueError`, an embedding of another size than those of `space`."""
        if len(self.embedding) != space.dims:
            given, wanted = list(self.embedding.shape), f"[{space.dims}]"
            msg = f"trial {self.trial}: embedding of shape {given}, the generator wants {wanted}"
            raise ValueError(msg)


@dataclass(frozen=True)
class Origin:
    """What a picture was painted from.

    Attributes
    ----------
    kind
        ``"noise"``; ``"layout"`` (from the low-level map's latent); where the embedding barely moved, ``"warm"`` (from
        the last picture) or ``"reused"`` (the last); ``"glide"`` (on the way from the last percept to this one);
        ``"preview"`` (from what the same trial was answered early).
    trial
        Whose picture that was.
    at_s
        Time after onset, in seconds, until which the preview's window had been read.
    """

    kind: Literal["noise", "layout", "warm", "reused", "glide", "preview"] = "noise"
    trial: int | None = None
    at_s: float | None = None

    @property
    def glides(self) -> bool:
        """Whether the picture is of no percept, but of what lies between two."""
        return self.kind == "glide"

    def __str__(self) -> str:
        match self.kind:
            case "noise":
                return "from noise"
            case "layout":
                return "from the low-level map's layout"
            case "warm":
                return f"from the picture of trial {self.trial}"
            case "preview":
                return f"from the preview at {self.at_s:g} s"
            case "reused":
                return f"the picture of trial {self.trial} again, as the embedding barely moved"
            case "glide":
                return f"gliding from the picture of trial {self.trial}"


@dataclass(frozen=True, eq=False)
class Frame:
    """A picture that was painted, and which EEG made it.

    Attributes
    ----------
    trial
        Which trial's embedding this picture was painted from.
    step, of
        How far the picture is; complete when they are equal.
    image
        uint8 ``[h, w, 3]``.
    ledger
        The request's times and those of its pictures so far; see `note_picture`.
    request
        Number of the request, as `RenderWorker.submit` returned it.
    origin
        Whether it was painted from noise.
    at_s
        Time after onset, in seconds, until which the window was read; None for all of it.
    preview
        Whether the trial's own picture is still to come.
    """

    trial: int
    step: int
    of: int
    image: NDArray[np.uint8]
    ledger: Mapping[str, float]
    request: int
    origin: Origin = Origin()
    at_s: float | None = None
    preview: bool = False

    @property
    def complete(self) -> bool:
        """Whether this is the last picture of its request."""
        return self.step == self.of

    @property
    def final(self) -> bool:
        """Whether this is the last picture of its trial."""
        return self.complete and not self.preview


@dataclass(frozen=True)
class SentFrame:
    """A frame without its pixels, and where these lie."""

    frame: Frame
    slot: InSlot


def note_picture(ledger: dict[str, float], step: int, of: int, time: float, *, preview: bool = False) -> None:
    """Note when a step's picture was painted, under its number and, where it is one, as the first and the final one.

    Of a preview the first alone is noted.

    Parameters
    ----------
    ledger
        Latency log of the percept, stage to time in seconds; changed in place.
    step
        Number of the step, from 1.
    of
        How many steps the picture takes.
    time
        When it was painted, in seconds on this machine's clock.
    preview
        Whether it is a preview's.
    """
    if preview:
        ledger.setdefault("preview", time)
        return
    ledger.setdefault("first_picture", time)
    ledger[f"picture_{step}"] = time
    if step == of:
        ledger["final_picture"] = time


@dataclass(frozen=True)
class RenderState:
    """How the renderer is.

    Attributes
    ----------
    kind
        ``"dead"`` also while a restart is waited for; a restarted renderer is ``"loading"``.
    text
        One line for people.
    """

    kind: Literal["loading", "ready", "busy", "dead"]
    text: str


@dataclass(frozen=True)
class RendererNotice:
    """What a renderer has to say to people.

    Attributes
    ----------
    kind
        As a notice's.
    text
        One line.
    request
        The request that will not be painted because of it; None where that is not so.
    """

    kind: NoticeKind
    text: str
    request: int | None = None


@dataclass(frozen=True)
class Ready:
    """The renderer process has prepared its generator, with `settings` that may ask for less than it was given."""

    space: EmbeddingSpace
    prepare_s: float
    settings: RenderSettings


@dataclass(frozen=True)
class Progress:
    """The renderer process still prepares: it has computed, read or written since the last time."""


@dataclass(frozen=True)
class PaintingFailed:
    """The generator raised: while preparing (`request` 0) or while painting.

    `fatal` where the process can paint no more and ends; the request then waits for the next process.
    """

    request: int
    text: str
    fatal: bool = False


Report = Ready | Progress | PaintingFailed | RendererNotice | Frame | SentFrame
