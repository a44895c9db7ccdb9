"""Whether the light comes when the markers say: from a recording, or from a short run made for it."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

from calibration.data.photodiode import Timing, timing_of
from configs.errors import InputError
from configs.output_folder import claim
from configs.schema import Config
from perceptogram.calibrate.view import View
from realtime.epoching.light import light_in
from realtime.recording.recorder import Recorder, Wanted
from realtime.sources.recording import read_recording
from stimuli.child import ChildError
from stimuli.marker_outlet import NAME
from stimuli.pictures import choose_pictures, open_pictures
from stimuli.presenter import BEGIN, PresenterJob, start_presenter
from stimuli.sequence import plan, save_plan

FILES = ("timing.xdf", "timing_part*.xdf", "timing_plan.jsonl", "timing.json")
"""All that a check of the timing leaves in its folder."""
N_PICTURES = 100
EDGE_S = 1.0
"""EEG before the first and after the last picture."""


def check_recording(path: Path, config: Config, channel: str | None = None) -> Timing:
    """Return how light follows the pictures' markers in a recording.

    Parameters
    ----------
    path
        The recording.
    config, channel
        As for `realtime.epoching.light.light_in`.

    Raises
    ------
    LightError
        If no channel follows the markers.
    SourceError
        If the recording cannot be read.
    """
    return timing_of(*light_in(read_recording(path, config.markers), config, channel))


def record_short_run(config: Config, folder: Path, headless: bool, view: View, *, overwrite: bool = False) -> Path:
    """Show some pictures, record them and return the recording.

    Parameters
    ----------
    config
        Settings of the session.
    folder
        Where the recording and its plan go.
    headless
        Show the pictures to nobody.
    view
        Tells how far it is.
    overwrite
        Replace the run that the folder holds.

    Raises
    ------
    InputError
        If the folder holds such a run already, or anything else, or the presenter fails.
    RecorderError
        If there is no EEG stream.
    """
    recording, planned_file = folder / "timing.xdf", folder / "timing_plan.jsonl"
    claim(folder, "calibrate --check-timing", FILES, overwrite=overwrite)
    known = open_pictures(config.pictures, "calibration")
    chosen = choose_pictures(known, min(N_PICTURES, len(known.names)), config.stimulus.seed)
    planned = plan(chosen, config.stimulus)
    save_plan(planned, planned_file)
    job = PresenterJob(
        planned_file,
        pictures=config.pictures,
        stimulus=config.stimulus.model_copy(update={"photodiode": True}),
        headless=headless,
        attended=False,
        hold=True,
        name=config.markers.name or NAME,
    )
    with ExitStack() as stack:
        try:
            presenter = start_presenter(job)
            stack.callback(presenter.stop)
            recorder = Recorder(recording, [Wanted.by(config.stream), Wanted.by(config.markers)])
            stack.callback(recorder.stop)
            recorder.start()
            time.sleep(EDGE_S)
            presenter.say(BEGIN)
            for count in range(1, len(planned.sequences) + 1):
                presenter.wait_for("progress", 60.0 + planned.duration_s, count)
                view.bar("sequences shown", count, len(planned.sequences))
            presenter.wait_for("finished", 60.0)
            time.sleep(EDGE_S)
        except ChildError as error:
            raise InputError(str(error)) from error
    return recording
