"""Scripts and people in the loop: a session tells what it sees and does what it is asked, over MQTT and in browsers.

Topics are ``<root>/v1/<session>/<component>/<what>``:

=====================  ===============================================================================
``session/cmd``        commands: ``{"id": "1", "command": "set_steps", "args": {"steps": 2}}``, QoS 1
``session/ack``        the answer to each: ``{"id": "1", "ok": true, "error": null, ...}``
``session/state``      retained; ``offline`` as the last will
``session/event``      percepts and everything else that happens, numbered by `seq`
``session/schema``     retained: the JSON Schemas of all of these
``renderer/frame``     pictures as JPEG; the comment inside says trial, step and ledger as JSON
=====================  ===============================================================================

A command takes effect at most once for each id, however often it comes: who hears no acknowledgement sends it again
under the same id. EEG never travels here.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from pylsl import local_clock

from configs.version import software_version
from realtime.control.control_process import FLUSH_S, LinkStatus, PageAligned, Publication, run_control
from realtime.control.messages import AckMessage, Command, Event, StateMessage, StateName
from realtime.decoding.evidence import Percept
from realtime.mqtt.address import broker_address
from realtime.mqtt.topics import Topics, topic_name
from realtime.processes.companion import Companion
from realtime.processes.started import Started
from realtime.rendering.messages import Frame
from stimuli.markers import Marker

if TYPE_CHECKING:
    from configs.schema import ControlSettings
    from realtime.control.osc import OscTarget
    from realtime.spaces import EmbeddingSpace
    from realtime.web.door import Door
    from realtime.web.stage import Stage

__all__ = ["Command", "Control", "ControlStatus", "Event"]

logger = logging.getLogger(__name__)

LANES = {"urgent": 4096, "event": 2000, "frame": 8}
"""What waits for the companion process, by lane."""
MAX_WAITING_COMMANDS = 64
REMEMBERED_COMMANDS = 10_000
"""How many ids are remembered; a command whose id was forgotten would be done again."""


@dataclass(frozen=True)
class ControlStatus:
    """How the control channel is.

    Attributes
    ----------
    connected, text
        Whether the broker is there, and one line about it; without a broker, whether the page is served.
    published, dropped
        Messages that reached the broker; events, pictures and answers that were dropped because they could not.
    refused
        Malformed, oversized, unknown and retained commands.
    restarts
        How often the companion process died.
    """

    connected: bool
    text: str
    published: int
    dropped: int
    refused: int
    restarts: int


class Control(Started):
    """The session's side; nothing here waits for the broker.

    Parameters
    ----------
    settings
        The broker; where it has no `url` there is none.
    session
        The session's name, as it stands in the topics.
    space
        What the embeddings are; told with each percept.
    door
        Where browsers find the page, for as long as it is open; None for no page.
    targets
        Programs that are told over Open Sound Control.
    stage
        What pages may show themselves; None where they send no markers.
    mark
        Called with each marker of a page, in a thread of its own.

    Raises
    ------
    BrokerError
        If the broker cannot be used as configured.
    """

    def __init__(
        self,
        settings: ControlSettings,
        session: str,
        space: EmbeddingSpace | None = None,
        door: Door | None = None,
        targets: Sequence[OscTarget] = (),
        stage: Stage | None = None,
        mark: Callable[[Marker], None] = lambda _marker: None,
    ) -> None:
        self._frames = settings.frames or door is not None or bool(targets)
        address = broker_address(settings) if settings.url is not None or not (door or targets) else None
        self.topics = Topics(settings.root, topic_name(session))
        self._lock = threading.Lock()
        self._seq = 0
        self._state: StateMessage | None = None
        self._commands: deque[Command] = deque()
        self._answers: OrderedDict[str, tuple[Command, AckMessage | None]] = OrderedDict()
        self._link = LinkStatus()
        self._earlier = LinkStatus()  # counts of companions that died
        self._away = False
        self._tell: Callable[[str], None] = logger.info
        self._mark = mark
        self._pages: list[str] = []
        self._tell_page: Callable[[str], None] = self._pages.append
        self._changed = threading.Condition()
        self._companion = Companion(
            "control",
            run_control,
            (address, self.topics, space, door, targets, stage),
            LANES,
            self._take,
            self._greet,
        )

    def tell_deaths(self, tell: Callable[[str], None]) -> None:
        """Have `tell` called, from another thread, with a line when the process that talks to them died.

        And when the broker is lost, or found again.
        """
        self._companion.tell = self._tell = tell

    def tell_pages(self, tell: Callable[[str], None]) -> None:
        """Have `tell` called, from another thread, with a line about the clock of each page that sends markers."""
        self._tell_page = tell
        for text in self._pages:
            tell(text)

    def start(self) -> Self:
        """Start connecting and return at once."""
        self._companion.start()
        return self

    def publish(self, event: Percept | Frame | Event) -> bool:
        """Tell a percept, a picture or an event, without waiting; returns False if an older one was dropped for it."""
        if isinstance(event, Frame):
            if not self._frames:
                return True
            return self._companion.put("frame", Publication(event, 0, local_clock(), time.time()))
        with self._lock:
            self._seq += 1
            return self._companion.put("event", Publication(event, self._seq, local_clock(), time.time()))

    def set_state(self, state: StateName, **details: Any) -> None:
        """Retain the session's state, with details that JSON can hold; it is told again after each reconnection."""
        self._state = StateMessage.now(state=state, version=software_version(), details=details)
        self._companion.put("urgent", self._state)

    def commands(self) -> list[Command]:
        """Return the commands that came since the last call, oldest first, without waiting; acknowledge each."""
        found = []
        while self._commands:
            found.append(self._commands.popleft())
        return found

    def acknowledge(self, command: Command, error: str | None = None) -> None:
        """Say that `command` took effect, or why it did not; only the first answer to a command counts."""
        with self._lock:
            asked, answer = self._answers.get(command.id, (command, None))
            if answer is not None:
                logger.warning("command %s was already acknowledged", command.id)
                return
            answer = AckMessage.to(command.id, error)
            self._answers[command.id] = (asked, answer)
        self._companion.put("urgent", answer)

    @property
    def status(self) -> ControlStatus:
        """How the control channel is."""
        link, earlier = self._link, self._earlier
        return ControlStatus(
            self._connected,
            link.text,
            earlier.sent + link.sent,
            earlier.dropped + link.dropped + self._companion.dropped,
            earlier.refused + link.refused,
            self._companion.restarts,
        )

    @property
    def pid(self) -> int | None:
        """Id of the companion process."""
        return self._companion.pid

    def wait(self, timeout_s: float) -> bool:
        """Wait for a command and return whether there is one."""
        with self._changed:
            return self._changed.wait_for(lambda: bool(self._commands), timeout_s)

    def wait_connected(self, timeout_s: float) -> bool:
        """Wait for the broker and return whether it is there."""
        with self._changed:
            return self._changed.wait_for(lambda: self._connected, timeout_s)

    def stop(self, timeout_s: float = FLUSH_S + 1.0) -> None:
        """Tell what waits, say that the session is offline, and end; a lost broker costs `timeout_s` at most."""
        self._companion.stop(timeout_s)

    @property
    def _connected(self) -> bool:
        """Whether the broker is there: what a companion that died has last said of it does not count."""
        return self._link.connected and self._companion.pid is not None

    def _greet(self) -> None:
        earlier, link = self._earlier, self._link
        self._earlier = LinkStatus(
            sent=earlier.sent + link.sent,
            dropped=earlier.dropped + link.dropped,
            refused=earlier.refused + link.refused,
        )
        self._link = LinkStatus()
        if self._state is not None:
            self._companion.put("urgent", self._state)

    def _take(self, item: Command | LinkStatus | Marker | PageAligned) -> None:
        if isinstance(item, Marker):
            self._mark(item)
            return
        if isinstance(item, PageAligned):
            self._tell_page(item.text)
            return
        if isinstance(item, Command):
            self._receive(item)
        else:
            self._link = item
            self._tell_away(item)
        with self._changed:
            self._changed.notify_all()

    def _tell_away(self, link: LinkStatus) -> None:
        """Say once that the broker is lost, and once that it is back."""
        if link.away and not self._away:
            self._away = True
            self._tell(f"{link.text}; the session goes on and connects again")
        elif link.connected and self._away:
            self._away = False
            self._tell(f"{link.text}, again")

    def _receive(self, command: Command) -> None:
        """Queue a new command; answer one that came before again, and one too many with an error."""
        error = None
        with self._lock:
            known = self._answers.get(command.id)
            if known is not None and known[0] != command:
                error = "this id was used before for another command; give each command its own id"
            elif known is not None:
                answer = known[1]  # None: the answer comes when it took effect
                if answer is not None:
                    self._companion.put("urgent", answer)
                return
            elif len(self._commands) >= MAX_WAITING_COMMANDS:
                error = f"{MAX_WAITING_COMMANDS} commands wait already; send it again later"
            else:
                self._answers[command.id] = (command, None)
                while len(self._answers) > REMEMBERED_COMMANDS:
                    self._answers.popitem(last=False)
                self._commands.append(command)
        if error is not None:
            self._companion.put("urgent", AckMessage.to(command.id, error))
