"""Run a session to its end, and hand what it says to whoever observes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from perceptogram.result import LiveResult
from realtime.session import Session, SessionEvent

Observer = Callable[[SessionEvent], None]


def follow(
    session: Session, result: LiveResult, observers: Mapping[str, Observer], *, paint_all: bool = False
) -> Exception | None:
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

    try:
        for event in session.run():
            hand_on(event)
        if paint_all:
            for name, percept in result.latest().items():
                if result.painted.get(name) != percept.trial and session.paint(percept):
                    for event in session.finish_rendering():
                        hand_on(event)
    except Exception as error:
        return error
    return None
