"""Run a session to its end, and hand what it says to whoever observes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from perceptogram.live.result import LiveResult
from realtime.session import Session, SessionEvent

Observer = Callable[[SessionEvent], None]


def follow(
    session: Session,
    result: LiveResult,
    observers: Mapping[str, Observer],
    *,
    paint_left: Callable[[], bool] = lambda: False,
) -> Exception | KeyboardInterrupt | None:
    """Run `session` until its source ends, and leave what it said in `result`.

    Parameters
    ----------
    session
        The session, not yet run.
    result
        Where counts, percepts and pictures are kept.
    observers
        Called with every event as it comes, by name: a display, a progress bar, something that ends the source. One
        that fails is told and called again with the next event.
    paint_left
        Asked after the end, before each picture's last percept that had no time to be painted while the session ran,
        whether it is painted still.

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
        for event in session.paint(result.unpainted(), paint_left):
            hand_on(event)
    except (Exception, KeyboardInterrupt) as error:
        return error
    return None
