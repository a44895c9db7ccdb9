"""What pages are told: what a session said so far, and then each word as it comes, by a bounded queue a page."""

from __future__ import annotations

import asyncio
import json
import struct
from collections import deque
from dataclasses import dataclass
from typing import Any

from realtime.mqtt.json import to_json
from realtime.mqtt.link import Letter
from realtime.rendering.remote.wire import read_label

MOST_CLIENTS = 64
MOST_WAITING = 1000
"""Words that wait for one client, beyond which it is dropped: it may come back and hear what was said so far."""
KEPT_EVENTS = 6000
KEPT_LEDGERS = 200
"""Words that are kept for pages that open later: percepts and all that is told of them, and times of pictures."""
NEWEST = ("quality", "data", "control")
"""Kinds of event of which only the newest is kept."""


@dataclass(frozen=True)
class Painted:
    """A painted picture as JPEG, with its label (trial, step, times) as JSON."""

    label: bytes
    jpeg: bytes

    @property
    def message(self) -> bytes:
        """As pages are sent it: the label's length, four bytes, the label, the picture."""
        return struct.pack("!I", len(self.label)) + self.label + self.jpeg


class Client:
    """What waits for one page or other listener.

    Parameters
    ----------
    told
        Words that it is told first; None for a listener that wants pictures only.
    picture
        The picture that it is shown first.
    """

    def __init__(self, told: list[bytes] | None, picture: Painted | None) -> None:
        self._deaf = told is None
        told = told or []
        self._waiting = deque(told)
        self._most = len(told) + MOST_WAITING
        self._picture = picture
        self._wake = asyncio.Event()
        self.lost = False

    def tell(self, word: bytes) -> None:
        """Leave a word; a client that takes none is lost."""
        if self._deaf:
            return
        if len(self._waiting) >= self._most:
            self.lost = True
        else:
            self._waiting.append(word)
        self._wake.set()

    def show(self, picture: Painted) -> None:
        """Leave a picture in the place of the one that waits."""
        self._picture = picture
        self._wake.set()

    async def wait(self) -> None:
        """Wait until there is something to take."""
        if not self._waiting and self._picture is None and not self.lost:
            self._wake.clear()
            await self._wake.wait()

    def take(self) -> tuple[str | None, Painted | None]:
        """Return all words that wait as a JSON array, and the picture."""
        words = b"[" + b",".join(self._waiting) + b"]" if self._waiting else None
        picture, self._picture = self._picture, None
        self._waiting.clear()
        self._most = MOST_WAITING
        return None if words is None else words.decode(), picture


class Hub:
    """Everything that listeners share. It is used by the thread of its loop alone.

    Letters are told by the last part of their topic: ``state`` and ``schema`` (the newest is kept), ``event``, ``ack``
    (not kept) and ``frame`` (the newest is kept). Embeddings are left out: a page has no use for them.
    """

    def __init__(self) -> None:
        self._state: bytes | None = None
        self._events: deque[bytes] = deque(maxlen=KEPT_EVENTS)
        self._ledgers: deque[bytes] = deque(maxlen=KEPT_LEDGERS)
        self._newest: dict[str, bytes] = {}
        self._clients: set[Client] = set()
        self.schema = b"{}"
        self.picture: Painted | None = None

    @property
    def clients(self) -> int:
        """How many listen."""
        return len(self._clients)

    def join(self, *, words: bool = True) -> Client | None:
        """Return a new listener's queue, which begins with what was said so far; None where too many listen.

        One that wants no `words` is shown pictures only.
        """
        if len(self._clients) >= MOST_CLIENTS:
            return None
        state = [] if self._state is None else [self._state]
        client = Client(
            [*state, *self._events, *self._ledgers, *self._newest.values()] if words else None, self.picture
        )
        self._clients.add(client)
        return client

    def leave(self, client: Client) -> None:
        """Forget a listener."""
        self._clients.discard(client)

    def take(self, letter: Letter) -> None:
        """Tell a letter to everybody; what cannot be read is not told."""
        what = letter.topic.rsplit("/", 1)[-1]
        if what == "frame":
            self._show(letter.payload)
        elif what == "schema":
            self.schema = letter.payload
        elif what in ("state", "event", "ack"):
            try:
                message = json.loads(letter.payload, parse_constant=_refuse)
            except (ValueError, RecursionError):
                return
            if isinstance(message, dict):
                self._tell(what, message)

    def _forget(self) -> None:
        """Forget an earlier session of the same name."""
        self._events.clear()
        self._ledgers.clear()
        self._newest.clear()
        self.picture = None

    def _show(self, jpeg: bytes) -> None:
        try:
            label = to_json(read_label(jpeg))
        except (OSError, ValueError, KeyError, TypeError, SyntaxError):
            return
        self.picture = Painted(label, jpeg)
        for client in self._clients:
            client.show(self.picture)

    def _tell(self, what: str, message: dict[str, Any]) -> None:
        message.pop("embedding", None)
        word = json.dumps({"topic": what, "message": message}, separators=(",", ":")).encode()
        kind = message.get("kind")
        if what == "state":
            if message.get("state") == "starting":
                self._forget()
            self._state = word
        elif what == "event" and kind == "ledger":
            self._ledgers.append(word)
        elif what == "event" and isinstance(kind, str) and kind in NEWEST:
            self._newest[kind] = word
        elif what == "event":
            self._events.append(word)
        for client in self._clients:
            client.tell(word)


def _refuse(constant: str) -> None:
    """Refuse NaN and infinity, which browsers cannot read."""
    msg = f"{constant} is no JSON"
    raise ValueError(msg)
