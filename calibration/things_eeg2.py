"""THINGS-EEG2 (Gifford et al. 2022) and its kin: people, as BIDS or as preprocessed arrays, scored by one protocol.

As arrays, for each subject ``sub-XX/preprocessed_eeg_training.npy`` (16,540 pictures × 4 repeats) and
``sub-XX/preprocessed_eeg_test.npy`` (200 × 80). As BIDS, a task that is learned from and a task that is tested on, at
whatever rate, cut by the session's own filters and epochs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.cluster import each, workers
from calibration.data.data_set import choose_runs
from calibration.data.epochs_files import read_table
from calibration.data.pickled_arrays import read_preprocessed
from calibration.data.presentations import Presentations, of_arrays, of_runs, shown_pictures, windows_file
from calibration.errors import FitError
from calibration.progress import Progress, part_of
from calibration.protocol import STOP_S, Plan, across, within
from calibration.scores.identification import BY_PICTURE, SCORES, over_people
from calibration.scores.published import PUBLISHED, as_rows
from calibration.statistics import rounded
from configs.schema import Config, FilterSettings, WindowSettings
from realtime.sources.bids import BidsRun

PARTS = ("preprocessed_eeg_training.npy", "preprocessed_eeg_test.npy")
CONFIG = Config(
    filters=FilterSettings(highpass_hz=0.1, lowpass_hz=40.0, rate_hz=100.0),
    window=WindowSettings(start_s=-0.2, stop_s=STOP_S),
)
"""How a BIDS data set is cut where no settings are given: as the preprocessed arrays are, but by causal filters."""


@dataclass(frozen=True)
class ArrayFiles:
    """People whose EEG lies in preprocessed files.

    Attributes
    ----------
    root
        Folder with ``sub-01`` and so on.
    n_pictures
        How many training and test pictures there are.
    """

    root: Path
    n_pictures: tuple[int, int]

    def mark(self, subject: str) -> str:
        """Return what the EEG of `subject` depends on."""
        states = [path.stat() for path in self._paths(subject) if path.is_file()]
        return " ".join(f"{subject} {state.st_size} {state.st_mtime_ns}" for state in states)

    def read(self, subject: str) -> tuple[Presentations, Presentations]:
        """Return what was learned from, and what is tested on."""
        parts = []
        for path, name, count in zip(self._paths(subject), ("training", "test"), self.n_pictures, strict=True):
            content = read_preprocessed(path)
            if len(content.samples) != count:
                msg = f"subject {subject}: {len(content.samples)} {name} pictures, but {count} {name} embeddings"
                raise FitError(msg)
            parts.append(of_arrays(content, self.mark(subject)))
        return parts[0], parts[1]

    def _paths(self, subject: str) -> list[Path]:
        return [self.root / f"sub-{subject}" / name for name in PARTS]


@dataclass(frozen=True)
class BidsPeople:
    """People of a BIDS data set.

    Attributes
    ----------
    learned, tested
        The runs that are learned from and tested on, of all people.
    config
        How they are read and cut.
    names
        The training and the test pictures, in the order of their embeddings.
    folder
        Where windows are kept once they are cut.
    """

    learned: tuple[BidsRun, ...]
    tested: tuple[BidsRun, ...]
    config: Config
    names: tuple[tuple[str, ...], tuple[str, ...]]
    folder: Path

    @cached_property
    def subjects(self) -> tuple[str, ...]:
        """Whose EEG there is of both parts."""
        tested = {run.subject for run in self.tested}
        return tuple(dict.fromkeys(run.subject for run in self.learned if run.subject in tested))

    def mark(self, subject: str) -> str:
        """Return what the EEG of `subject` depends on."""
        paths = [path for runs in (self.learned, self.tested) for path in _of(runs, subject)]
        return " ".join(windows_file(path, self.config, self.folder).stem for path in paths)

    def read(self, subject: str) -> tuple[Presentations, Presentations]:
        """Return what was learned from, and what is tested on."""
        learned, tested = (
            of_runs(_of(runs, subject), self.config, names, self.folder)
            for runs, names in zip((self.learned, self.tested), self.names, strict=True)
        )
        return learned, tested


def bids_people(
    root: Path,
    folder: Path,
    tasks: tuple[str, str] = ("train", "test"),
    subjects: Sequence[str] = (),
    config: Config = CONFIG,
    picture_column: str | None = None,
) -> tuple[BidsPeople, tuple[str, ...]]:
    """Return the people of a BIDS data set and what should be known of how they are read, one line each.

    Parameters
    ----------
    root
        The data set.
    folder
        Where windows are kept once they are cut.
    tasks
        Labels of the task that is learned from and of the one that is tested on.
    subjects
        Their labels; all when left out.
    config
        Filters, window, channels; all but the window's part before onset as in a session.
    picture_column
        Column of ``events.tsv`` that names the picture.

    Raises
    ------
    SourceError
        If there is no such data set, task or subject.
    """
    parts = [choose_runs(root, task, config, subjects, (), picture_column) for task in tasks]
    channels = [part.config.stream.channels for part in parts]
    common = channels[0] and tuple(name for name in channels[0] if channels[1] is None or name in channels[1])
    settings = parts[0].config
    settings = settings.model_copy(update={"stream": settings.stream.model_copy(update={"channels": common})})
    names = [tuple(shown_pictures(part.paths, settings)) for part in parts]
    twice = sorted(set(names[0]) & set(names[1]))
    if twice:
        msg = f"{len(twice)} pictures, such as {twice[0]!r}, are in both tasks: they would be recognised, not decoded"
        raise FitError(msg)
    told = tuple(dict.fromkeys(line for part in parts for line in part.notices))
    people = BidsPeople(parts[0].runs, parts[1].runs, settings, (names[0], names[1]), folder)
    if not people.subjects:
        msg = f"{root}: nobody has EEG of both tasks, {' and '.join(tasks)}"
        raise FitError(msg)
    return people, told


def read_rows(path: Path, names: Sequence[str]) -> NDArray[np.float32]:
    """Return the embeddings ``[pictures, dims]`` of pictures, in their order, from a file.

    Parameters
    ----------
    path
        The file. Where it does not name its rows they are those of the pictures in the order of their names.
    names
        The pictures, sorted.

    Raises
    ------
    FitError
        If it lacks one, or has another number of rows without names.
    """
    rows, known = read_table(path)
    if known is None:
        if len(rows) != len(names):
            msg = f"{path} has {len(rows)} rows for {len(names)} pictures shown: add a list 'pictures' that names them"
            raise FitError(msg)
        return rows
    places = {name: place for place, name in enumerate(known)}
    missing = [name for name in names if name not in places]
    if missing:
        msg = f"{path} has no row for {len(missing)} of the pictures shown, such as {missing[0]!r}"
        raise FitError(msg)
    return rows[[places[name] for name in names]]


def run(
    plan: Plan,
    jobs: int = 1,
    backend: str = "loky",
    dask: str | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Return all scores, their means over people, and what was published.

    Parameters
    ----------
    plan
        What is scored.
    jobs, backend, dask
        As for `calibration.cluster.workers`.
    progress
        Told what is being done, of how many people it is done, and of how many.
    """
    stages = [("own map", within)]
    if plan.across and len(plan.subjects) > 1:
        stages.append(("the others' map", across))
    rows: list[dict[str, Any]] = []
    with workers(jobs, backend, dask):
        for name, work in stages:
            tell = part_of(progress, f"people, each by {name}")
            told = {} if tell is None else {"tell": tell}
            rows += [row for part in each(work, plan.subjects, plan, **told) for row in part]
    found: dict[str, Any] = rounded(
        {
            "subjects": list(plan.subjects),
            "settings": plan.settings.model_dump(mode="json"),
            "n_training": len(plan.tables.training),
            "n_test": len(plan.tables.test),
            "mean": means(rows, plan.settings.seed),
            "rows": [{name: value for name, value in row.items() if name != BY_PICTURE} for row in rows],
            "published": as_rows(),
        }
    )
    return found


def means(rows: Sequence[dict[str, Any]], seed: int) -> list[dict[str, Any]]:
    """Return the mean over people of each kind of row, with intervals over people and pictures.

    Parameters
    ----------
    rows
        Rows of all people, with their means by picture.
    seed
        Seed of the intervals.
    """
    kinds: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        repeats = "all" if row["all"] else row["repeats"]
        kinds.setdefault((row["trained_on"], row["learned_from"], repeats), []).append(row)
    return [
        {"trained_on": kind[0], "learned_from": kind[1], "all": kind[2] == "all"} | over_people(same, seed)
        for kind, same in kinds.items()
    ]


Line = tuple[str, str, float | None, tuple[float, float] | None, float | None, float | None, str]


def table(found: dict[str, Any]) -> list[Line]:
    """Return lines of what, repeats, top-1 with its interval, top-5, two-way, and where it was read."""
    chance = found["mean"][0]
    lines: list[Line] = [_line(f"subject {row['subject']}, {_kind(row)}", row) for row in found["rows"] if row["all"]]
    lines += [_line(f"mean, {_kind(row)}", row) for row in found["mean"]]
    lines.append(("chance", "", chance["chance_top1"], None, chance["chance_top5"], 0.5, ""))
    for one in PUBLISHED:
        lines.append((f"published: {one.name}", "80", one.top1, None, one.top5, None, one.source))
        if one.across_top1 is not None:
            lines.append(
                (f"published, others: {one.name}", "80", one.across_top1, None, one.across_top5, None, one.source)
            )
    return lines


def _kind(row: dict[str, Any]) -> str:
    return f"{row['trained_on']}, {row['learned_from']}"


def _line(name: str, row: dict[str, Any]) -> Line:
    top1, top5, two_way = (row[score] for score in SCORES)
    return name, str(row["repeats"]), top1, row["top1_interval"], top5, two_way, ""


def _of(runs: Sequence[BidsRun], subject: str) -> list[Path]:
    return [run.path for run in runs if run.subject == subject]
