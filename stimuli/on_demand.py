"""A presenter that shows whatever picture it is asked for, when it is asked: the closed loop's screen.

It runs as a process of its own. Told ``show NAME`` it shows that picture at the pace of the settings, marks its flip on
the marker stream, and reports ``"shown"``; the marker's ``demand`` counts what was asked for.
"""

from __future__ import annotations

import argparse
import queue
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from configs.schema import PictureSettings, StimulusSettings
from stimuli.child import STOP, ChildProcess, Report, commands, report, start_job
from stimuli.marker_outlet import NAME, SOURCE_ID, MarkerOutlet
from stimuli.markers import PICTURE, Marker
from stimuli.picture_set import PictureError
from stimuli.pictures import open_pictures
from stimuli.screen import Screen
from stimuli.window import AGAIN_S, Twice

if TYPE_CHECKING:
    from stimuli.screen import Surface

MODULE = f"{__package__}.on_demand"
SHOW = "show"
KEPT_SURFACES = 64
LOOK_S = 0.01
ASKS = (f"Press Esc again within {AGAIN_S:g} seconds to close this window.",)


@dataclass(frozen=True)
class OnDemandJob:
    """Everything that an on-demand presenter's process needs to know.

    Attributes
    ----------
    pictures, stimulus
        The set, and the looks and pace of the screen.
    headless
        Without a display.
    name, source_id
        Name and source id of the marker stream.
    """

    pictures: PictureSettings = field(default_factory=PictureSettings)
    stimulus: StimulusSettings = field(default_factory=StimulusSettings)
    headless: bool = False
    name: str = NAME
    source_id: str = SOURCE_ID


def start_on_demand(job: OnDemandJob) -> ChildProcess:
    """Start the presenter and return once its screen and marker stream are open.

    The handle reports ``"ready"``; for each demand ``"shown"`` with `demand`, `picture` and `onset` (seconds on the LSL
    clock), or ``"refused"`` with `demand` and `text`; and ``"closed"`` when somebody presses escape twice. It takes the
    words ``show NAME``; `stop` ends it.

    Raises
    ------
    stimuli.child.ChildError
        If it does not come up; the message is the presenter's own.
    """
    return start_job(MODULE, job, "ready")


def run_on_demand(job: OnDemandJob, words: queue.SimpleQueue[str], tell: Report) -> None:
    """Show what `words` ask for, one after another, until they say `STOP` or somebody presses escape twice.

    Parameters
    ----------
    job
        The picture set, how to show it, and the marker stream.
    words
        What was asked for, one word each; read as they come.
    tell
        Called with each report and its values.

    Raises
    ------
    stimuli.picture_set.PictureError
        If the set cannot be opened.
    """
    import pylsl

    pictures, pace = open_pictures(job.pictures), job.stimulus
    outlet = MarkerOutlet(job.name, job.source_id)
    screen = Screen(pace, headless=job.headless, clock=pylsl.local_clock)
    surfaces: dict[str, Surface] = {}
    demand, free, escape, asks = 0, pylsl.local_clock(), Twice(), False
    try:
        screen.draw(None)
        screen.flip()
        refresh = screen.refresh
        tell("ready", driver=screen.driver, vsync=refresh.vsync, refresh_hz=round(refresh.rate_hz, 3))
        while True:
            if any(escape.press(timestamp) for key, timestamp in screen.pressed() if key == "escape"):
                tell("closed")
                return
            if asks != escape.asks(pylsl.local_clock()):
                asks = not asks
                screen.draw_text(ASKS) if asks else screen.draw(None)
                screen.flip()
            try:
                word = words.get(timeout=LOOK_S)
            except queue.Empty:
                continue
            if word == STOP:
                return
            verb, _, name = word.partition(" ")
            if verb != SHOW:
                continue
            demand += 1
            try:
                if name not in surfaces:
                    if len(surfaces) >= KEPT_SURFACES:
                        del surfaces[next(iter(surfaces))]
                    surfaces[name] = screen.prepare(pictures.image(name))
            except PictureError as error:
                tell("refused", demand=demand, text=str(error))
                continue
            screen.draw(surfaces[name])
            screen.wait_until(free - refresh.flip_s)
            onset = screen.flip().done
            outlet.send(Marker(onset, PICTURE, name, {"demand": demand}))
            tell("shown", demand=demand, picture=name, onset=onset)
            screen.draw(None)
            screen.wait_until(onset + pace.on_s - refresh.flip_s)
            screen.flip()
            free = onset + pace.onset_to_onset_s
    finally:
        screen.close()
        outlet.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the process and return its exit code: 2 where the job cannot be done as asked."""
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description="Show pictures as they are asked for.")
    parser.add_argument("--job", required=True, help="an OnDemandJob in JSON")
    given = parser.parse_args(arguments)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the session's to handle; it then ends this process
    try:
        run_on_demand(TypeAdapter(OnDemandJob).validate_json(given.job), commands(), report)
    except ValueError as error:
        report("error", text=" ".join(str(error).split()))
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
