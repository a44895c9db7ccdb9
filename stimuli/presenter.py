"""The presenter as a process of its own, so that nothing else on the machine's Python can delay a flip."""

from __future__ import annotations

import argparse
import queue
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from configs.schema import PictureSettings, StimulusSettings, load_config
from stimuli.child import STOP, ChildProcess, Report, commands, put_first, report, start_job
from stimuli.marker_outlet import NAME, SOURCE_ID, MarkerOutlet
from stimuli.pictures import open_pictures
from stimuli.presentation import Aborted, FrameLog, Presentation, Shown, read_shown
from stimuli.screen import Screen
from stimuli.sequence import PlanError, load_plan, resume

MODULE = f"{__package__}.presenter"
BEGIN = "begin"


@dataclass(frozen=True)
class PresenterJob:
    """Everything that a presenter's process needs to know.

    Attributes
    ----------
    plan
        File written by `stimuli.sequence.save_plan`.
    log
        Frame log to write; with `resume`, trials already in it are not shown again.
    pictures, stimulus
        The set, and the looks of the screen; times are the plan's.
    headless
        Without a display.
    attended
        Whether somebody at the keyboard starts each block; never where there is no display.
    hold
        Wait for the word `BEGIN` after ``"ready"``.
    resume
        Go on where the log ends.
    listener_timeout_s
        How long to wait for somebody to listen to the markers.
    name, source_id
        Name and source id of the marker stream.
    """

    plan: Path
    log: Path | None = None
    pictures: PictureSettings = field(default_factory=PictureSettings)
    stimulus: StimulusSettings = field(default_factory=StimulusSettings)
    headless: bool = False
    attended: bool = True
    hold: bool = False
    resume: bool = False
    listener_timeout_s: float = 20.0
    name: str = NAME
    source_id: str = SOURCE_ID


def start_presenter(job: PresenterJob, *, timeout_s: float = 60.0) -> ChildProcess:
    """Start a presenter as a process of its own and return once its screen and marker stream are open.

    The handle reports ``"ready"``, ``"started"``, ``"progress"`` after each sequence, and ``"finished"`` with what the
    frame log shows. It takes the words ``begin`` (where the job holds), ``pause`` and ``resume``; `stop` ends the run.

    Raises
    ------
    stimuli.child.ChildError
        If it does not come up; the message is the presenter's own.
    """
    return start_job(MODULE, job, "ready", timeout_s)


def run_presenter(job: PresenterJob, words: queue.SimpleQueue[str], tell: Report) -> bool:
    """Show a plan and return whether it came to its end.

    Parameters
    ----------
    job
        The plan, the picture set, how to show it, and the marker stream.
    words
        What is asked meanwhile: `BEGIN`, ``pause`` or ``resume``.
    tell
        Called with each report and its values.

    Raises
    ------
    stimuli.sequence.PlanError
        If the plan cannot be read, nothing is left of it, or its log exists and is not to be resumed.
    stimuli.picture_set.PictureError
        If a picture is missing or corrupt.
    stimuli.marker_outlet.NobodyListens
        If nobody subscribes to the markers in time.
    """
    import pylsl

    planned = load_plan(job.plan)
    if job.log is not None and job.log.exists():
        if not job.resume:
            msg = f"frame log {job.log} exists: resume the run or give another log"
            raise PlanError(msg)
        planned = resume(planned, [shown.trial for shown in read_shown(job.log)])
    if not planned.trials:
        msg = f"nothing is left to show of plan {job.plan}"
        raise PlanError(msg)
    pictures = open_pictures(job.pictures)
    for name in planned.pictures:
        pictures.label(name)  # Refuses a name that the set does not have, before anything is shown.
    first = put_first()
    outlet = MarkerOutlet(job.name, job.source_id)
    screen = Screen(job.stimulus, headless=job.headless, clock=pylsl.local_clock)
    try:
        refresh = screen.refresh
        about = {"driver": screen.driver, "vsync": refresh.vsync, "refresh_hz": round(refresh.rate_hz, 3)}
        about |= {"put_first": first}
        tell("ready", trials=len(planned.trials), duration_s=planned.duration_s, **about)
        if job.hold:
            _wait_for_begin(words)
        outlet.wait_for_listener(job.listener_timeout_s)
        with FrameLog(job.log) as log:
            log.write("screen", **about, spread_s=refresh.spread_s, plan=job.plan.name, seed=planned.seed)
            presentation = Presentation(
                planned,
                pictures,
                screen,
                outlet,
                log,
                words=words,
                attended=job.attended and not job.headless,
                tell=tell,
            )
            tell("started", timestamp=pylsl.local_clock())
            completed = presentation.run()
            summary = summarise(presentation.shown, planned.onset_to_onset_s)
            log.write("summary", completed=completed, **summary)
        tell("finished", completed=completed, **about, **summary)
    except Aborted:
        tell("finished", completed=False, shown=0)
        return False
    finally:
        screen.close()
        outlet.close()
    return completed


def summarise(shown: Sequence[Shown], onset_to_onset_s: float) -> dict[str, float]:
    """Return what a frame log says of the timing; intervals are taken within sequences."""
    # A pause in the middle of a sequence moves the next deadline, and is no error of timing.
    pairs = [
        (first, second)
        for first, second in pairwise(shown)
        if first.sequence == second.sequence and second.due - first.due < 1.5 * onset_to_onset_s
    ]
    errors_ms = 1e3 * np.abs([second.onset - first.onset - onset_to_onset_s for first, second in pairs])
    flip_ms = 1e3 * np.array([one.onset - one.asked for one in shown])
    return {
        "shown": len(shown),
        "flagged": sum(one.flagged for one in shown),
        "dropped": sum(one.dropped for one in shown),
        "interval_error_ms_p50": float(np.median(errors_ms)) if len(errors_ms) else 0.0,
        "interval_error_ms_p99": float(np.quantile(errors_ms, 0.99)) if len(errors_ms) else 0.0,
        "interval_error_ms_max": float(errors_ms.max()) if len(errors_ms) else 0.0,
        "flip_ms_p50": float(np.median(flip_ms)) if len(flip_ms) else 0.0,
    }


def _wait_for_begin(words: queue.SimpleQueue[str]) -> None:
    while (word := words.get()) != BEGIN:
        if word == STOP:
            raise Aborted


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the process and return its exit code: 2 where the job cannot be done as asked."""
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description="Show a plan of pictures.")
    parser.add_argument("plan", nargs="?", type=Path, help="file written by stimuli.sequence.save_plan")
    parser.add_argument("--config", help="YAML file or preset with the pictures and the looks of the screen")
    parser.add_argument("--log", type=Path, help="frame log to write")
    parser.add_argument("--resume", action="store_true", help="go on where the log ends")
    parser.add_argument("--headless", action="store_true", help="run without a display")
    parser.add_argument("--job", help="all of the above in JSON, as PresenterJob has them")
    given = parser.parse_args(arguments)
    if (given.plan is None) == (given.job is None):
        parser.error("give a plan, or a whole job with --job")
    try:
        if given.job is not None:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the session's to handle; it then ends this process
            job = TypeAdapter(PresenterJob).validate_json(given.job)
        else:
            config = load_config(given.config) if given.config else None
            pictures = config.pictures if config else PictureSettings()
            stimulus = config.stimulus if config else StimulusSettings()
            job = PresenterJob(given.plan, given.log, pictures, stimulus, headless=given.headless, resume=given.resume)
        return 0 if run_presenter(job, commands(), report) else 1
    except ValueError as error:
        report("error", text=" ".join(str(error).split()))
        return 2


if __name__ == "__main__":
    raise SystemExit(main())
