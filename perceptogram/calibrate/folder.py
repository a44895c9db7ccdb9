"""What a calibration leaves in its folder, and how it goes on from there after an abort."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from configs.errors import InputError
from configs.output_folder import check, claim
from configs.schema import Config, StimulusSettings
from stimuli.pictures import choose_pictures, open_pictures
from stimuli.presentation import Shown, read_shown
from stimuli.sequence import Plan, load_plan, plan, resume, save_plan

logger = logging.getLogger(__name__)

Read = TypeVar("Read")

BLOCK_S = 150.0
"""Length of a block where the number of blocks is left open."""
FILES = ("plan.jsonl", "frames.jsonl", "calibration*.xdf", "bundle")
"""All that a calibration leaves in its folder."""
_RECORDING = re.compile(r"calibration(?:_(\d+))?(?:_part(\d+))?\.xdf")


@dataclass(frozen=True)
class Size:
    """How much is shown; what is None follows from the rest."""

    pictures: int | None = None
    repeats: int | None = None
    blocks: int | None = None
    minutes: float | None = None


@dataclass(frozen=True)
class CalibrationFolder:
    """The files of one calibration."""

    path: Path

    @property
    def plan(self) -> Path:
        """What is shown, in order."""
        return self.path / "plan.jsonl"

    @property
    def frames(self) -> Path:
        """The frame log: what has been shown, and when."""
        return self.path / "frames.jsonl"

    @property
    def bundle(self) -> Path:
        """The map and its report."""
        return self.path / "bundle"

    def recordings(self) -> list[Path]:
        """Return the recordings in the order in which they were made."""

        def order(path: Path) -> tuple[int, int]:
            match = _RECORDING.fullmatch(path.name)
            return (int(match[1] or 1), int(match[2] or 1)) if match else (0, 0)

        return sorted((path for path in self.path.glob("*.xdf") if _RECORDING.fullmatch(path.name)), key=order)

    def next_recording(self) -> Path:
        """Return the name of the next recording: ``calibration.xdf``, ``calibration_2.xdf``, ..."""
        taken = [int(match[1] or 1) for path in self.recordings() if (match := _RECORDING.fullmatch(path.name))]
        number = max(taken, default=0) + 1
        return self.path / ("calibration.xdf" if number == 1 else f"calibration_{number}.xdf")

    def shown(self) -> list[Shown]:
        """Return the trials that have been shown, in all runs together."""
        return read_shown(self.frames) if self.frames.exists() else []

    def left(self, planned: Plan) -> Plan:
        """Return the part of a plan that has not been shown."""
        return resume(planned, [shown.trial for shown in self.shown()])


def begin(folder: CalibrationFolder, config: Config, size: Size, *, overwrite: bool = False) -> Plan:
    """Make the folder and the plan in it.

    Parameters
    ----------
    folder
        Folder of this calibration; missing or empty, or one whose calibration may be replaced.
    config
        Settings of the session.
    size
        How much is shown.
    overwrite
        Replace the calibration that the folder holds.

    Raises
    ------
    InputError
        If the folder holds a calibration or anything else, or the plan cannot be made as asked.
    """
    if folder.plan.exists() and not overwrite:
        msg = f"{folder.path} holds a calibration: go on with --resume, name another folder, or add --overwrite"
        raise InputError(msg)
    check(folder.path, "calibrate", overwrite=overwrite)
    planned = make_plan(config, size)
    claim(folder.path, "calibrate", FILES, overwrite=overwrite)
    save_plan(planned, folder.plan)
    return planned


def make_plan(config: Config, size: Size) -> Plan:
    """Return what a calibration of that size shows.

    Raises
    ------
    InputError
        If it cannot be made as asked.
    """
    from calibration.scores.enough import too_few_pictures

    known = open_pictures(config.pictures, "calibration")
    n_pictures, repeats = how_many(len(known.names), config.stimulus, size)
    few = too_few_pictures(config, n_pictures)
    if few is not None:
        raise InputError(few)
    chosen = choose_pictures(known, n_pictures, config.stimulus.seed)
    planned = plan(chosen, config.stimulus, repeats=repeats)
    blocks = size.blocks if size.blocks is not None else max(1, round(planned.duration_s / BLOCK_S))
    return plan(chosen, config.stimulus, repeats=repeats, blocks=blocks)


def go_on(folder: CalibrationFolder, size: Size) -> Plan:
    """Return the plan of a calibration that was stopped.

    Raises
    ------
    InputError
        If there is none, or another size than the plan's is asked for.
    """
    if not folder.plan.exists():
        msg = f"there is no calibration in {folder.path} to go on with: leave out --resume to begin one"
        raise InputError(msg)
    if size != Size():
        msg = "--resume goes on with the plan as it is: leave out --pictures, --repeats, --blocks and --minutes"
        raise InputError(msg)
    return load_plan(folder.plan)


def how_many(available: int, stimulus: StimulusSettings, size: Size) -> tuple[int, int]:
    """Return the number of pictures and of repeats that fill the time, or that were asked for.

    Parameters
    ----------
    available
        Pictures in the set.
    stimulus
        Pace of the presentation.
    size
        What was asked for; 15 minutes where nothing was.

    Raises
    ------
    InputError
        If pictures, repeats and minutes are all given.
    """
    if size.pictures is not None and size.repeats is not None:
        if size.minutes is not None:
            msg = "pictures, repeats and minutes say the same thing twice: give two of them"
            raise InputError(msg)
        return size.pictures, size.repeats
    length = stimulus.sequence_length
    one_s = stimulus.onset_to_onset_s * (1 + stimulus.targets_per_sequence / length) + stimulus.pause_s / length
    showings = max(2, round(60.0 * (15.0 if size.minutes is None else size.minutes) / one_s))
    if size.pictures is not None:
        return size.pictures, max(1, round(showings / size.pictures))
    if size.repeats is not None:
        return min(available, max(2, showings // size.repeats)), size.repeats
    n_pictures = min(available, showings)
    return n_pictures, max(1, round(showings / n_pictures))


def read_usable(recordings: list[Path], config: Config, read: Callable[[list[Path]], Read]) -> Read:
    """Return what `read` makes of the recordings; of those alone that hold EEG where one of them holds none.

    Parameters
    ----------
    recordings
        Files of one calibration, in the order in which they were made.
    config
        The session's settings.
    read
        Reads them; called once more only where it met a recording without EEG.
    """
    from realtime.sources.recording import SourceError

    try:
        return read(recordings)
    except SourceError:
        return read(usable(recordings, config))


def usable(recordings: list[Path], config: Config) -> list[Path]:
    """Return the recordings that hold EEG; one that was stopped before anything came is left out, and said to be."""
    from realtime.sources.recording import SourceError, open_recording

    kept = []
    for path in recordings:
        try:
            open_recording(path, config).close()
        except SourceError as error:
            logger.warning("left out: %s", error)
        else:
            kept.append(path)
    return kept
