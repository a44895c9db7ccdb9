"""Other programs around a session: they are told what it sees, and it does what they ask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from configs.schema import Config
from realtime.control.control import Command, Control, Event
from realtime.control.messages import StateName
from realtime.decoding.bundle import Bundle
from realtime.epoching.electrode_watch import ElectrodeChange
from realtime.epoching.epochs import Refused, Retracted
from realtime.epoching.signal_quality import signal_quality
from realtime.recording.percept_outlets import PerceptOutlets
from realtime.rendering.messages import Frame
from realtime.session import Answered, Decoded, OnScreen, Session, SessionEvent, Tick
from realtime.sources.base import Notice
from realtime.timeline.sample_grid import Fault, Hole, Recount

QUALITY_EVERY_S = 2.0
STATUS_EVERY_S = 1.0


class Shower(Protocol):
    """Shows pictures as they are asked for."""

    def __call__(self, picture: str) -> object:
        """Ask for `picture`; raises `ValueError` where it cannot be shown."""
        ...


class Steering:
    """Observes a session for other programs, and obeys their commands between two chunks of EEG.

    Parameters
    ----------
    session
        What is told about and steered.
    config, bundle
        Settings and map of the session.
    control
        The MQTT side; None where nobody listens.
    outlets
        The percepts' LSL streams; None without.
    close
        Ends the session.
    show
        Shows a picture; None where another program does, which hears the ``show`` event.
    """

    def __init__(
        self,
        session: Session,
        config: Config,
        bundle: Bundle,
        control: Control | None,
        outlets: PerceptOutlets | None,
        close: Callable[[], None],
        show: Shower | None = None,
    ) -> None:
        self._session = session
        self._limits = config.artefacts
        self._channels = bundle.spec.channels
        self._facts = {
            "name": config.name,
            "simulated": bundle.simulated,
            "candidates": len(bundle.gallery.names),
            "stall_s": config.stream.stall_s,
        }
        self._control = control
        self._outlets = outlets
        self._close = close
        self._show = show
        self._next_quality = self._next_status = float("-inf")
        self._seen = (0, 0)
        self._told: tuple[bool, float, int] | None = None
        self._tell_state()

    def __call__(self, event: SessionEvent) -> None:
        """Tell one event and do what was asked meanwhile."""
        if isinstance(event, Decoded | Answered) and self._outlets is not None:
            self._outlets.push(event.percept, event.percept.ledger.get("embedding"))
        elif isinstance(event, Frame) and event.final and self._outlets is not None:
            self._outlets.stages(event.trial, event.ledger)
        elif isinstance(event, OnScreen) and self._outlets is not None:
            self._outlets.stages(event.trial, {event.stage: event.timestamp})
        self._tell_state()
        if self._control is None:
            return
        self._tell(self._control, event)
        for command in self._control.commands():
            error = self._obey(self._control, command)
            self._tell_state()
            self._control.acknowledge(command, error)

    def ended(self, summary: dict[str, Any]) -> None:
        """Say that the session is over."""
        if self._control is not None:
            told = ("n_trials", "refused", "retracted", "lost_samples", "two_way", "baseline_two_way", "auc")
            self._control.set_state("stopped", **self._facts, **{key: summary[key] for key in told if key in summary})

    def _tell(self, control: Control, event: SessionEvent) -> None:
        match event:
            case Decoded(percept):
                control.publish(percept)
                if event.epoch.onset >= self._next_quality:
                    self._next_quality = event.epoch.onset + QUALITY_EVERY_S
                    control.publish(Event("quality", signal_quality(event.epoch.samples, self._channels, self._limits)))
            case Frame():
                control.publish(event)
                if event.final:
                    control.publish(Event("ledger", {"trial": event.trial, "stages": dict(event.ledger)}))
            case Answered(percept):
                control.publish(percept)
            case OnScreen(trial, timestamp):
                control.publish(Event("ledger", {"trial": trial, "stages": {event.stage: timestamp}}))
            case Refused(trial, _, reason, kind):
                control.publish(Event("refused", {"trial": trial, "reason": reason, "because": kind}))
            case Retracted(trial, _, reason, kind):
                control.publish(Event("retracted", {"trial": trial, "reason": reason, "because": kind}))
            case ElectrodeChange(_, at, electrodes, out, why, without, _):
                told = {"electrodes": list(electrodes), "out": out, "why": why, "stamp": at, "without": list(without)}
                control.publish(Event("electrode", told))
            case Hole():
                control.publish(Event("hole", {"lost": event.lost, "stamp": event.timestamp}))
            case Recount():
                control.publish(Event("recount", {"lost": event.lost, "stamp": event.timestamp}))
            case Fault():
                control.publish(Event("fault", {"fault": event.kind, "stamp": event.timestamp, "text": event.text}))
            case Notice(_, kind, text):
                control.publish(Event("notice", {"notice": kind, "text": text}))
            case Tick(timestamp) if timestamp >= self._next_status:
                self._next_status = timestamp + STATUS_EVERY_S
                control.publish(Event("data", {"stamp": timestamp}))
                status = control.status
                if (status.dropped, status.restarts) != self._seen:
                    self._seen = (status.dropped, status.restarts)
                    control.publish(Event("control", {"dropped": status.dropped, "restarts": status.restarts}))

    def _obey(self, control: Control, command: Command) -> str | None:
        """Do what `command` asks and return None, or say why it was not done."""
        session = self._session
        match command.name:
            case "stop":
                self._close()
                return None
            case "pause":
                session.paused = True
            case "start" | "resume":
                session.paused = False
            case "mark":
                if self._outlets is None:
                    return "this session has no percept stream to carry a note"
                self._outlets.note(command.args["text"])
                control.publish(Event("note", {"text": command.args["text"]}))
            case "show":
                return self._ask_for(control, command.args["picture"])
            case "set_threshold":
                session.painter.abstain_below = command.args["confidence"]
            case "set_steps":
                session.painter.steps = command.args["steps"]
        return None

    def _tell_state(self) -> None:
        """Retain the session's state where it has changed, whoever changed it: a command, a key or a script."""
        session = self._session
        painter = session.painter
        state = session.paused, painter.abstain_below, painter.steps
        if self._control is not None and state != self._told:
            self._told = state
            name: StateName = "paused" if session.paused else "running"
            self._control.set_state(name, **self._facts, abstain_below=painter.abstain_below, steps=painter.steps)

    def _ask_for(self, control: Control, picture: str) -> str | None:
        if self._show is not None:
            try:
                self._show(picture)
            except ValueError as error:
                return str(error)
        control.publish(Event("show", {"picture": picture, "by_session": self._show is not None}))
        return None
