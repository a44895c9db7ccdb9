"""What a session asks of its renderer, and the order in which pictures come back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from realtime.rendering.messages import Frame, RendererNotice, RenderRequest, RenderState

if TYPE_CHECKING:
    from configs.schema import RenderSettings
    from realtime.decoding.evidence import Percept
    from realtime.decoding.low_level_map import LowLevelMap


class Renderer(Protocol):
    """What a session needs of a renderer; `realtime.rendering.worker.RenderWorker` is one."""

    came: Callable[[], None]
    """Called, from any thread, when there is something to fetch."""

    @property
    def state(self) -> RenderState:
        """How the renderer is."""
        ...

    def submit(self, request: RenderRequest) -> int:
        """Leave a request; it replaces any that still waits. Numbers rise."""
        ...

    def frames(self) -> list[Frame]:
        """Return what was painted since the last call, without waiting."""
        ...

    def told(self) -> list[RendererNotice]:
        """Return what it had to say since the last call, oldest first, without waiting."""
        ...

    def wait(self, timeout_s: float) -> bool:
        """Wait until there is something to fetch."""
        ...


@dataclass(frozen=True, eq=False)
class Late:
    """A final picture that came after one of a newer request: worth keeping, but never to be shown in its place."""

    frame: Frame


class Painter:
    """Asks for pictures, and lets no picture that comes late follow a newer one.

    Several workers may end in another order than they were asked in.

    Parameters
    ----------
    renderer
        Paints; None where nothing is painted.
    clock
        Gives the LSL clock's time.
    settings
        Seed and steps of the pictures.
    abstain_below
        Confidence under which no picture is painted.
    low_level
        Gives the layout to start from; None for pure noise.
    preview_above
        Confidence of an answer before a window's end from which its picture is painted.

    Attributes
    ----------
    steps, abstain_below, flow
        As given, until somebody sets them anew: for each picture from then on.
    """

    def __init__(
        self,
        renderer: Renderer | None,
        clock: Callable[[], float],
        settings: RenderSettings,
        abstain_below: float = 0.0,
        low_level: LowLevelMap | None = None,
        preview_above: float = 0.0,
    ) -> None:
        self.steps = settings.steps
        self.flow = settings.flow
        self.abstain_below = abstain_below
        self._renderer = renderer
        self._clock = clock
        self._seed = settings.seed
        self._low_level = low_level
        self._preview_above = preview_above
        self._previewed: int | None = None  # the last trial of which a preview was asked for
        self._awaited: int | None = None
        self._newest = 0  # the latest request of which a picture came

    def ask(self, percept: Percept, *, preview: bool = False) -> Percept | None:
        """Have `percept` painted, and return it with the time of the request.

        None where it is not: there is no renderer, or the evidence is too weak; of a trial's previews the first that
        may be painted is.
        """
        doubtful = percept.confidence is not None and percept.confidence < self.abstain_below
        if preview:
            doubtful |= percept.confidence is None or percept.confidence < self._preview_above
            doubtful |= percept.trial == self._previewed
        if self._renderer is None or doubtful:
            return None
        stage = "requested"
        if preview:
            stage, self._previewed = "preview_requested", percept.trial
        asked = replace(percept, ledger={**percept.ledger, stage: self._clock()})
        start = None
        if self._low_level is not None and percept.low_level is not None:
            start = self._low_level.latent(percept.low_level)
        flow = self.flow if self.steps > 1 else 0.0  # a single step keeps nothing of the last picture
        request = RenderRequest(
            *(percept.trial, percept.embedding, self._seed, self.steps, asked.ledger, start, flow),
            at_s=percept.at_s,
            preview=preview,
        )
        self._awaited = self._renderer.submit(request)
        return asked

    def news(self) -> Iterator[Frame | Late | RendererNotice]:
        """Yield what was painted and what the renderer had to say, without waiting."""
        if self._renderer is None:
            return
        for frame in self._renderer.frames():
            if frame.complete and frame.request == self._awaited:
                self._awaited = None
            if frame.request >= self._newest:
                self._newest = frame.request
                yield frame
            elif frame.final:
                yield Late(frame)
        for told in self._renderer.told():
            if told.request == self._awaited:
                self._awaited = None
            yield told

    def finish(self, patience_s: float) -> Iterator[Frame | Late | RendererNotice]:
        """Yield news until the last request is painted or given up, or the renderer dead or silent for too long."""
        deadline = time.monotonic() + patience_s
        while self._renderer is not None and self._awaited is not None:
            yield from self.news()
            left_s = deadline - time.monotonic()
            if self._awaited is None or left_s <= 0 or self._renderer.state.kind == "dead":
                return
            self._renderer.wait(min(left_s, 0.2))

    def listen(self, came: Callable[[], None]) -> None:
        """Have `came` called when there is something to fetch."""
        if self._renderer is not None:
            self._renderer.came = came
