"""Run a session to its end, and hand what it says to whoever observes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pylsl import local_clock

from perceptogram.live.result import LiveResult
from realtime.session import Session, SessionEvent
from realtime.sources.base import Notice

Observer = Callable[[SessionEvent], None]


def follow(
    session: Session, result: LiveResult, observers: Mapping[str, Observer], *, paint_all: bool = False
) -> Exception | KeyboardInterrupt | None:
    """Run `session` until its source ends, and leave what it said in `result`.

    Parameters
    ----------
    observers
        Called with every event as it comes, by name: a display, a progress bar, something that ends the source. One
        that fails is told and called again with the next event.
    paint_all
        Paint, after the end, every picture's last percept that had no time to be painted while the session ran.

    Returns
    -------
    What ended the session before its time; None where nothing did.
    """

    def hand_on(event: SessionEvent) -> None:
        result(event)
        for name, observe in observers.items():
            try:
                observe(event)
            except Exception as error:  # what shows or keeps the percepts must not end the EEG
                session.tell("failed", session.failures.note(name, error))

    def paint_rest() -> None:
        """Paint what is left, for as long as the renderer paints."""
        left = {name: one for name, one in result.latest().items() if result.painted.get(name) != one.trial}
        said = False
        for name, percept in left.items():
            if not session.paint(percept):
                continue
            if not said:
                said = True
                text = f"painting what is left, {len(left)} pictures at most; another Ctrl-C leaves them"
                hand_on(Notice(local_clock(), "ending", text))
            for event in session.finish_rendering():
                hand_on(event)
            if result.painted.get(name) != percept.trial:
                return  # a renderer that hangs would hang at each of them

    try:
        for event in session.run():
            hand_on(event)
        if paint_all:
            paint_rest()
    except (Exception, KeyboardInterrupt) as error:
        return error
    return None
