"""Keeps the display's state from what a session says; it can be saved as a picture where there is no screen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from pylsl import local_clock

from configs.schema import Config
from realtime.decoding.bundle import Bundle
from realtime.decoding.evidence import Percept
from realtime.display.display import Display
from realtime.display.layout import DisplayState, Similar, draw
from realtime.display.picture_lookup import LookUp
from realtime.display.window import Lost, Pressed, Shown
from realtime.epoching.electrode_watch import ElectrodeChange
from realtime.epoching.epochs import Refused, Retracted
from realtime.epoching.signal_quality import signal_quality
from realtime.painter import Renderer
from realtime.rendering.messages import Frame
from realtime.session import Answered, Decoded, OnScreen, Session, SessionEvent, Tick
from realtime.sources.base import Notice
from stimuli.picture_set import PictureSet

KEPT_PERCEPTS = 32


class Screen:
    """Observes a session and shows it.

    Parameters
    ----------
    config, bundle
        Settings and map of the session.
    pictures
        Whose names and labels are shown; the pictures themselves are looked up where the display is drawn.
    session
        Whose state is shown, and which the person at the screen may pause.
    renderer
        Whose state is shown.
    displays
        The windows; without one the state alone is kept. The first one's times are told.
    close
        Called when the person at the screen closes the window.
    """

    def __init__(
        self,
        config: Config,
        bundle: Bundle,
        pictures: PictureSet,
        session: Session,
        renderer: Renderer | None,
        displays: Sequence[Display],
        close: Callable[[], None],
    ) -> None:
        self._config = config
        self._channels = bundle.spec.channels
        self._patterns = bundle.patterns if config.display.patterns else None
        self._pictures = pictures
        self._session = session
        self._renderer = renderer
        self._displays = displays
        self._close = close
        self._percepts: dict[int, Percept] = {}
        self._previewed: Percept | None = None  # the last one of which a preview was asked for
        self._preview_shown: int | None = None
        self._two_way: dict[str, tuple[float | None, float | None]] = {}  # by picture: true and pre-stimulus
        self._standing = ""  # what is said while there is nothing newer
        self._stalled = False  # whether the notice that stands there is that no EEG comes
        self.state = DisplayState(
            title=config.name,
            simulated=bundle.simulated,
            abstain_below=config.evidence.abstain_below,
            stall_s=config.stream.stall_s,
            patterns=() if config.display.patterns else None,
            electrodes=bundle.spec.channels,
            candidates=len(bundle.gallery.names),
            labels=bundle.space.is_labels,
        )

    def __call__(self, event: SessionEvent) -> None:
        """Take in one event of the session."""
        state = self.state
        match event:
            case Tick(timestamp):
                renderer = None if self._renderer is None else self._renderer.state
                notice, self._stalled = self._standing if self._stalled else state.notice, False
                state = replace(
                    self._listen(state),
                    data_timestamp=timestamp,
                    renderer=renderer,
                    notice=notice,
                    paused=self._session.paused,
                    abstain_below=self._session.painter.abstain_below,
                )
            case Answered(percept):
                self._previewed = percept if "preview_requested" in percept.ledger else self._previewed
            case Decoded(percept):
                quality = signal_quality(event.epoch.samples, self._channels, self._config.artefacts)
                if percept.picture is not None:
                    self._two_way[percept.picture] = percept.two_way, percept.pre_stimulus_two_way
                true, control = (_mean(scores[k] for scores in self._two_way.values()) for k in (0, 1))
                state = replace(
                    state, quality=quality, two_way=true, pre_stimulus_two_way=control, notice=self._standing
                )
                self._percepts[percept.trial] = percept
                for old in list(self._percepts)[:-KEPT_PERCEPTS]:
                    del self._percepts[old]
                if "requested" not in percept.ledger:
                    state = self._with(state, percept)
            case Frame(trial, step, of, image, origin=origin):
                known = self._percepts.get(trial)
                if event.preview:
                    known = self._previewed if self._previewed and self._previewed.trial == trial else None
                # One that is too weak to be painted is on the screen at once: no older picture may come after it.
                if known is not None and (state.trial is None or trial >= state.trial):
                    state = replace(self._with(state, known), picture=image, step=step, of=of, gliding=origin.glides)
                    state = replace(state, ledger=dict(event.ledger), preview=event.preview)
            case ElectrodeChange():
                self._standing = f"decoded without {', '.join(event.without)}" if event.without else ""
            case Notice(_, kind, text):
                state, self._stalled = replace(state, notice=text), kind == "stalled"
            case Refused(trial, _, reason) | Retracted(trial, _, reason):
                self._stalled = False
                state = replace(state, notice=f"trial {trial} has no percept: {reason}")
        if state is not self.state:
            self.state = state
            for display in self._displays:
                display.show(state)

    def save(self, path: Path, size: tuple[int, int] = (1280, 720)) -> None:
        """Save what a screen would show now."""
        state = LookUp(self._pictures)(self.state)
        draw(state, size, state.data_timestamp or local_clock()).save(path, format="PNG")

    def _with(self, state: DisplayState, percept: Percept) -> DisplayState:
        known = percept.picture is not None and percept.picture in self._pictures.names
        picture = percept.picture or ""
        return replace(
            state,
            trial=percept.trial,
            shown_name=picture,
            shown_label=self._pictures.label(picture) if known else picture,
            nearest=tuple(Similar(None, near.label, near.similarity, near.name) for near in percept.neighbours),
            confidence=percept.confidence,
            repeats=percept.repeats,
            at_s=percept.at_s,
            preview=False,
            ledger=dict(percept.ledger),
            patterns=state.patterns if self._patterns is None else self._patterns.heads(percept.embedding),
        )

    def _listen(self, state: DisplayState) -> DisplayState:
        """Take in what happened at the window; return `state` with the time at which its picture was on the screen."""
        for first, event in ((display is self._displays[0], e) for display in self._displays for e in display.events()):
            if isinstance(event, Shown) and event.preview:
                if first and event.trial != self._preview_shown:
                    self._preview_shown = event.trial
                    self._session.on_screen(OnScreen(event.trial, event.timestamp, preview=True))
            elif first and isinstance(event, Shown) and event.step == event.of:
                self._session.on_screen(OnScreen(event.trial, event.timestamp))
                if event.trial == state.trial:
                    state = replace(state, ledger={**state.ledger, "shown": event.timestamp})
            elif isinstance(event, Lost):
                self._session.tell("lost", f"the session goes on without a display: {event.text}")
            elif isinstance(event, Pressed) and event.action == "pause":
                self._session.paused = not self._session.paused
            elif isinstance(event, Pressed):
                self._close()
        return state


def _mean(scores: Iterable[float | None]) -> float | None:
    known = [score for score in scores if score is not None]
    return sum(known) / len(known) if known else None
