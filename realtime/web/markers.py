"""Markers from a page that shows the pictures: timestamped by the page's clock, which pings align with LSL's."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, TypeAdapter, ValidationError
from starlette.websockets import WebSocketDisconnect

from realtime.mqtt.foreign_text import one_line
from realtime.web.page_clock import ClockFit, PageClock
from stimuli.markers import PICTURE, Marker

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

PING_EVERY_S = 0.5
UNANSWERED_S = 2.0
"""Seconds after which a ping counts as lost, as those to a page in the background."""
AHEAD_S, BEHIND_S = 0.2, 5.0
"""How far a marker may lie ahead of its arrival, as of a coming frame, and behind it."""
BAD_MESSAGES = 10
"""Messages that cannot be used, after which a page is sent away."""
SEND_S = 10.0
OWN_FIELDS = frozenset(("schema", "kind", "picture"))

_Text = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f]+$")]
_Value = Annotated[str, Field(max_length=256)] | bool | int | FiniteFloat


class _PageMessage(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Pong(_PageMessage):
    pong: int
    now: FiniteFloat


class _Said(_PageMessage):
    at: FiniteFloat
    kind: _Text = PICTURE
    picture: _Text | None = None
    fields: Annotated[dict[_Text, _Value], Field(max_length=16)] = {}


_MESSAGES: TypeAdapter[_Pong | _Said] = TypeAdapter(_Pong | _Said)


class UnusableMarker(ValueError):
    """A message of a page that is no marker, in one line."""


class PageMarkers:
    """What one page says on its marker socket.

    Parameters
    ----------
    clock
        The LSL clock.
    mark
        Called with each marker, timestamped in seconds on the LSL clock, in the thread of the page's server.
    tell
        Called with what is known of the page's clock as soon as it is, and where that has become worse by half.
    """

    def __init__(
        self, clock: Callable[[], float], mark: Callable[[Marker], None], tell: Callable[[ClockFit], None]
    ) -> None:
        self._now = clock
        self._mark = mark
        self._tell = tell
        self._clock = PageClock()
        self._sent = 0.0
        self._number = 0
        self._told_s = 0.0
        self._answered = asyncio.Event()

    async def serve(self, socket: WebSocket) -> None:
        """Talk to a page, whose connection is accepted, until it leaves or cannot be understood."""
        pinging = asyncio.create_task(self._ping(socket))
        bad = 0
        try:
            while bad < BAD_MESSAGES and not pinging.done():
                message = await socket.receive()
                received = self._now()
                if message["type"] == "websocket.disconnect":
                    return
                text = message.get("text")
                try:
                    self._hear(message["bytes"] if text is None else text, received)
                except UnusableMarker as error:
                    bad += 1
                    await _send(socket, {"error": str(error)})
            await asyncio.wait_for(socket.close(1008), 1.0)
        except (OSError, RuntimeError, TimeoutError, WebSocketDisconnect):
            return  # it is gone, or takes nothing
        finally:
            pinging.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError, RuntimeError, TimeoutError, WebSocketDisconnect):
                await pinging

    async def _ping(self, socket: WebSocket) -> None:
        """Ask for the page's clock: quickly until it is known, then now and then; and tell the page what is known."""
        while True:
            self._number += 1
            self._answered.clear()
            self._sent = self._now()
            await _send(socket, {"ping": self._number})
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._answered.wait(), UNANSWERED_S)
            known = self._clock.alignment
            if known is None:
                continue
            await _send(socket, {"clock": asdict(known)})
            if not self._told_s or known.error_s > 1.5 * self._told_s:
                self._told_s = known.error_s
                self._tell(known)
            await asyncio.sleep(PING_EVERY_S)

    def _hear(self, content: str | bytes, received: float) -> None:
        try:
            said = _MESSAGES.validate_json(content)
        except ValidationError as error:
            fault = error.errors(include_url=False, include_input=False)[-1]
            where = ".".join(str(part) for part in fault["loc"][1:])
            msg = one_line(f"not a marker: {where + ': ' if where else ''}{fault['msg']}")
            raise UnusableMarker(msg) from None
        if isinstance(said, _Said):
            self._mark(self._stamped(said, received))
        elif said.pong == self._number and not self._answered.is_set():
            self._clock.add(self._sent, said.now / 1000, received)
            self._answered.set()

    def _stamped(self, said: _Said, received: float) -> Marker:
        known = self._clock.alignment
        if known is None:
            msg = "this page's clock is not aligned yet: wait for the first word about it"
            raise UnusableMarker(msg)
        if taken := sorted(OWN_FIELDS & said.fields.keys()):
            msg = f"the field {taken[0]!r} has a meaning of its own; choose another name"
            raise UnusableMarker(msg)
        timestamp = said.at / 1000 + known.offset_s
        if not -BEHIND_S <= timestamp - received <= AHEAD_S:
            side = "ahead" if timestamp > received else "ago"
            msg = (
                f"a marker of {abs(timestamp - received):.1f} s {side}: `at` is performance.now() when the picture came"
            )
            raise UnusableMarker(msg)
        return Marker(timestamp, said.kind, said.picture, {**said.fields, "clock_error_s": round(known.error_s, 6)})


async def _send(socket: WebSocket, message: dict[str, object]) -> None:
    await asyncio.wait_for(socket.send_text(json.dumps(message, separators=(",", ":"))), SEND_S)
