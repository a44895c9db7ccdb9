"""The renderer on other machines: the same face as `RenderWorker`, fed over MQTT.

========================================  ==============================================================
``<root>/v1/workers/<worker>/cmd``        requests for one worker
``<root>/v1/workers/<worker>/state``      retained: what a worker is and has, twice a second
``<root>/v1/<session>/remote/frame``      pictures as JPEG, labelled in the comment
``<root>/v1/<session>/remote/event``      requests that could not be painted
========================================  ==============================================================
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from realtime.mqtt.address import broker_address
from realtime.mqtt.topics import Topics
from realtime.processes.companion import Companion
from realtime.processes.started import Started
from realtime.rendering.contract import Contract, picture_size
from realtime.rendering.errors import GeneratorError
from realtime.rendering.frame_queue import FrameQueue
from realtime.rendering.messages import Frame, RendererNotice, RenderRequest, RenderState, note_picture
from realtime.rendering.remote.dispatch import GivenUp
from realtime.rendering.remote.renderer_process import CAME, Status, run_remote

if TYPE_CHECKING:
    from configs.schema import ControlSettings, RenderSettings
    from realtime.spaces import EmbeddingSpace

logger = logging.getLogger(__name__)

MAX_OPEN = 256
"""Requests remembered here, of those that workers have."""


@dataclass
class _Open:
    """A request whose final picture has not come."""

    request: RenderRequest
    ledger: dict[str, float]
    step: int = 0


class RemoteRenderer(FrameQueue, Started):
    """Has the newest request painted by workers on other machines.

    Parameters
    ----------
    settings
        The `render` settings, which the workers' must equal in all that changes the picture.
    control
        The broker.
    session
        The session's name as it stands in the topics.
    space
        Which embeddings the session's bundle predicts; only workers whose generator wants these are used.

    Raises
    ------
    BrokerError
        If the broker cannot be used as configured.
    """

    def __init__(self, settings: RenderSettings, control: ControlSettings, session: str, space: EmbeddingSpace) -> None:
        from realtime.mqtt.topics import topic_name

        super().__init__()
        self._space = space
        self._lock = threading.Lock()
        self._submitted = 0
        self._open: dict[int, _Open] = {}
        self._changed = threading.Condition()
        self._status = Status(RenderState("loading", "looking for workers"))
        self._heard = time.monotonic()
        self._greeted = 0
        topics = Topics(control.root, topic_name(session))
        self._companion = Companion(
            "remote renderer",
            run_remote,
            (broker_address(control), topics, Contract.of(space, settings), picture_size(settings)),
            {"request": 1},
            self._take,
            self._greet,
        )
        self._companion.tell = lambda text: self._tell(RendererNotice("lost", text))

    def start(self) -> Self:
        """Start looking for workers and return at once; `wait_ready` waits until one can paint."""
        self._companion.start()
        return self

    def submit(self, request: RenderRequest) -> int:
        """Leave `request` for the workers and return its number at once; it replaces any request still waiting.

        Raises
        ------
        ValueError
            If its embedding is of another size than the space's.
        """
        request.check_for(self._space)
        with self._lock:
            self._submitted += 1
            self._open[self._submitted] = _Open(request, dict(request.ledger))
            if len(self._open) > MAX_OPEN:
                del self._open[next(iter(self._open))]
            self._companion.put("request", (self._submitted, request))
            return self._submitted

    def wait_ready(self, timeout_s: float) -> EmbeddingSpace:
        """Wait until a worker can paint and return the space of its embeddings.

        Raises
        ------
        GeneratorError
            If none can in time; the message says why.
        """
        with self._changed:
            if self._changed.wait_for(lambda: self._status.state.kind in ("ready", "busy"), timeout_s):
                return self._space
        unused = [told.text for told in self._told if told.kind == "worker"]
        msg = f"nobody can paint after {timeout_s:g} s: {'; '.join(unused) or self._status.state.text}"
        raise GeneratorError(msg)

    @property
    def space(self) -> EmbeddingSpace:
        """Which embeddings the workers want."""
        return self._space

    @property
    def state(self) -> RenderState:
        """How rendering is, and one line about it."""
        return self._status.state

    @property
    def workers(self) -> tuple[str, ...]:
        """Ids of the workers that can be used now."""
        return self._status.workers

    @property
    def dropped(self) -> int:
        """Requests abandoned for newer ones."""
        return self._status.dropped + self._companion.dropped

    @property
    def restarts(self) -> int:
        """How often a request was handed to another worker because the first was lost."""
        return self._status.handed_over

    @property
    def heartbeat_age_s(self) -> float:
        """Seconds since the last news of any worker."""
        return time.monotonic() - self._heard

    @property
    def pid(self) -> int | None:
        """Id of the companion process that talks to the workers."""
        return self._companion.pid

    def stop(self) -> None:
        """End; frames that already came can still be fetched. Safe to call twice."""
        self._companion.stop(2.0)
        with self._changed:
            self._status = replace(self._status, state=RenderState("dead", "stopped"), workers=())
            self._changed.notify_all()

    def _greet(self) -> None:
        """Ask a new companion for the newest request, where the one before did not finish it."""
        with self._lock:
            self._greeted += 1
            if self._greeted > 1 and self._open:
                number = max(self._open)
                self._companion.put("request", (number, self._open[number].request))

    def _take(self, item: Frame | Status | GivenUp | RendererNotice) -> None:
        self._heard = time.monotonic()
        match item:
            case Status():
                with self._changed:
                    self._status = item
                    self._changed.notify_all()
            case RendererNotice():
                logger.warning("%s", item.text)
                self._tell(item)
            case GivenUp(number, text, newer):
                logger.log(logging.INFO if newer else logging.WARNING, "%s", text)
                with self._lock:
                    self._open.pop(number, None)
                if not newer:
                    self._tell(RendererNotice("failed", text, number))
            case Frame() as frame:
                self._deliver(frame)

    def _deliver(self, frame: Frame) -> None:
        """Hand out a frame that is new, with its times by the session's clock: a worker's is another machine's."""
        came = frame.ledger[CAME]
        with self._lock:
            one = self._open.get(frame.request)
            if one is None or frame.step <= one.step:
                return  # a companion that died has handed it out before
            one.step = frame.step
            note_picture(one.ledger, frame.step, frame.of, came, preview=frame.preview)
            for older in [number for number in self._open if number < frame.request]:
                del self._open[older]
            if frame.complete:
                del self._open[frame.request]
        self._hand_out(replace(frame, ledger=dict(one.ledger)))
