"""A recording of a BIDS data set: its events, channels and units by the tables beside it.

A table holds for all recordings below its folder whose names have every part of its own name (the inheritance
principle); of several the nearest counts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from configs.files import read_tsv
from realtime.sources.base import Marker
from realtime.sources.metadata import SourceError
from realtime.sources.readers.marks import as_marker, names
from realtime.sources.selection import unit_name
from stimuli.bids_stimuli import FOLDER, TABLE, stimulus_files
from stimuli.markers import PICTURE

if TYPE_CHECKING:
    from configs.markers import MarkerSettings

DESCRIPTION = "dataset_description.json"
SUFFIXES = (".vhdr", ".edf", ".bdf", ".set", ".fif")
NUMBERED = "tot_img_number"
"""THINGS-EEG2's number of a picture within its task: it is the one of ``stimuli.tsv`` whose label is the task."""
PICTURE_COLUMNS = ("stim_file", "stim_id", "stimulus_id", NUMBERED)
"""Columns that name a picture, the first that is filled counts."""
NOTHING = ("", "n/a")
_PART = re.compile(r"([a-z]+)-([A-Za-z0-9]+)")
_IDENTIFIER = re.compile(r"(?:stim-)?([A-Za-z]+)0*(\d+)")


@dataclass(frozen=True)
class BidsRun:
    """A recording of a data set, and the labels in its name; empty where it has none."""

    path: Path
    subject: str
    session: str
    task: str
    run: str


@dataclass(frozen=True)
class ChannelTable:
    """What ``channels.tsv`` says.

    Attributes
    ----------
    eeg
        EEG channels in order, good or bad.
    bad
        Those of them that are marked as bad.
    unit
        The unit of all of them, such as ``microvolts``; None where it does not say.
    """

    eeg: tuple[str, ...]
    bad: tuple[str, ...]
    unit: str | None

    @property
    def good(self) -> tuple[str, ...]:
        """The EEG channels that are not marked as bad."""
        return tuple(name for name in self.eeg if name not in self.bad)


def find_runs(root: Path, task: str, subjects: Sequence[str] = (), sessions: Sequence[str] = ()) -> list[BidsRun]:
    """Return the EEG recordings of a task, in the order of subjects, sessions and runs.

    Parameters
    ----------
    root
        The data set: the folder of ``dataset_description.json``.
    task
        Its label.
    subjects, sessions
        Labels, with or without ``sub-`` and ``ses-``; all when left out.

    Raises
    ------
    SourceError
        If there is no such data set, or no recording of a subject, session or task in it.
    """
    if not (root / DESCRIPTION).is_file():
        msg = f"{root} is no BIDS data set: it has no {DESCRIPTION}"
        raise SourceError(msg)
    files = [path for suffix in SUFFIXES for path in root.glob(f"sub-*/**/eeg/*_eeg{suffix}")]
    runs = [_run(path) for path in sorted(files)]
    for what, wanted, present in (
        ("task", [task], {run.task for run in runs}),
        ("subject", subjects, {run.subject for run in runs if run.task == task}),
        ("session", sessions, {run.session for run in runs if run.task == task}),
    ):
        missing = [label for label in wanted if _bare(label) not in present]
        if missing:
            there = ", ".join(sorted(present - {""})) or "none"
            msg = f"{root} has no EEG of {what} {', '.join(missing)}; it has {there}"
            raise SourceError(msg)
    people, days = {_bare(label) for label in subjects}, {_bare(label) for label in sessions}
    return [
        run
        for run in runs
        if run.task == task and (not people or run.subject in people) and (not days or run.session in days)
    ]


def good_channels(paths: Sequence[Path]) -> tuple[tuple[str, ...] | None, str | None]:
    """Return the channels that are EEG and good in every recording, and a line of those that are bad in some.

    None where no recording has a table of channels.

    Raises
    ------
    SourceError
        If none is left.
    """
    found = [table for table in map(channel_table, paths) if table is not None]
    if not found:
        return None, None
    bad = [name for name in found[0].eeg if any(name in table.bad for table in found)]
    common = tuple(name for name in found[0].eeg if all(name in table.good for table in found))
    if not common:
        msg = f"no EEG channel of {paths[0].name} is good in all {len(paths)} recordings: leave some recordings out"
        raise SourceError(msg)
    advice = "left out of all; name them in stream.channels to use them"
    told = f"marked as bad in some of {len(paths)} recordings and {advice}: {names(bad)}" if bad else None
    return common, told


def channel_table(path: Path) -> ChannelTable | None:
    """Return what the table of channels that holds for a recording says; None where there is none."""
    table = sidecar(path, "channels.tsv")
    if table is None:
        return None
    rows = [row for row in read_tsv(table, "table of channels") if row.get("type", "").upper() == "EEG"]
    if not rows or any(not row.get("name") for row in rows):
        msg = f"{table} names no channel of type EEG"
        raise SourceError(msg)
    units = {row.get("units", "").strip() for row in rows}
    bad = tuple(row["name"] for row in rows if row.get("status", "").casefold() == "bad")
    return ChannelTable(tuple(row["name"] for row in rows), bad, unit_name(units.pop()) if len(units) == 1 else None)


def read_events(path: Path, settings: MarkerSettings, first_s: float) -> tuple[Marker, ...]:
    """Return the events of a recording as markers in order; those that name a picture are its onset.

    Parameters
    ----------
    path
        The recording.
    settings
        Which column names the picture, and whether labels stand for classes instead.
    first_s
        Timestamp of the first sample, from which the table counts.

    Raises
    ------
    SourceError
        If there is no table, or no column of it names pictures.
    """
    table = sidecar(path, "events.tsv")
    if table is None:
        msg = f"{path.name} has no events.tsv: without it nothing tells when which picture appeared"
        raise SourceError(msg)
    rows = read_tsv(table, "table of events")
    column = None if settings.classes else _picture_column(rows, settings.picture_column, table)
    known = _identifiers(path) if column is not None else {}
    markers = []
    for row in rows:
        onset, duration = _number(row.get("onset", "")), _number(row.get("duration", ""))
        if onset is None:
            continue
        told = next((row[name] for name in ("trial_type", "value") if row.get(name, "") not in NOTHING), "event")
        shown = "" if column is None else row[column].strip()
        if shown in NOTHING or (column == NUMBERED and shown == "0"):
            markers.append(as_marker(told, first_s + onset, duration or 0.0))
        else:
            name = _named(shown, column == NUMBERED, _run(path).task, known)
            markers.append(Marker(first_s + onset, PICTURE, name, {"trial_type": told}))
    return tuple(sorted(markers, key=lambda marker: marker.timestamp))


def sidecar(path: Path, ending: str) -> Path | None:
    """Return the table or description that holds for a recording, such as its ``channels.tsv``, or None."""
    own = dict(_PART.findall(path.name))
    for folder in path.resolve().parents:
        found = [
            file
            for file in folder.glob(f"*{ending}")
            if file.name == ending or file.name.endswith(f"_{ending}")
            if dict(_PART.findall(file.name)).items() <= own.items()
        ]
        if found:
            return max(found, key=lambda file: len(_PART.findall(file.name)))
        if (folder / DESCRIPTION).is_file():
            return None
    return None


def _run(path: Path) -> BidsRun:
    parts = dict(_PART.findall(path.name))
    return BidsRun(path, *(parts.get(key, "") for key in ("sub", "ses", "task", "run")))


def _bare(label: str) -> str:
    return re.sub(r"^(sub|ses)-", "", label)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _picture_column(rows: Sequence[Mapping[str, str]], wanted: str | None, table: Path) -> str:
    columns = list(rows[0]) if rows else []
    if wanted is not None and wanted not in columns:
        msg = f"{table} has no column {wanted!r} (markers.picture_column); it has {', '.join(columns) or 'no rows'}"
        raise SourceError(msg)
    tried = PICTURE_COLUMNS if wanted is None else (wanted,)
    for column in tried:
        if any(row.get(column, "").strip() not in NOTHING for row in rows):
            return column
    msg = (
        f"{table} names no picture in {' or '.join(tried)}: give the column that does by --picture-column "
        f"(markers.picture_column); it has {', '.join(columns) or 'no rows'}"
    )
    raise SourceError(msg)


def _identifiers(path: Path) -> dict[str | tuple[str, int], str]:
    """Return the file of each stimulus of the recording's data set, by its identifier, and by its label and number."""
    root = next((folder for folder in path.resolve().parents if (folder / DESCRIPTION).is_file()), None)
    files = {} if root is None else stimulus_files(root / FOLDER / TABLE)
    known: dict[str | tuple[str, int], str] = {}
    for identifier, file in files.items():
        known[identifier] = file
        numbered = _IDENTIFIER.fullmatch(identifier)
        if numbered:
            known[numbered[1], int(numbered[2])] = file
    return known


def _named(shown: str, numbered: bool, task: str, known: Mapping[str | tuple[str, int], str]) -> str:
    """Return the name of a picture: its file in ``stimuli``, or what the table of events calls it."""
    if numbered:
        number = _number(shown)
        place = (task, -1 if number is None else int(number))
        return known.get(place, f"{task}-{shown.zfill(5)}")
    return known.get(shown, shown.removeprefix("/").removeprefix(f"{FOLDER}/"))
