"""A BIDS-EEG dataset from recordings: even samples, events with the pictures shown, reconstructions as derivatives."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from configs.errors import InputError
from configs.files import file_name, read_json, whole_folder
from configs.schema import Config
from realtime.sources.base import Chunk, Marker
from realtime.sources.recording import open_recording
from realtime.timeline.sample_grid import Hole, TimedChunk
from realtime.timeline.timeline import Timeline
from stimuli.picture_set import PictureError, PictureSet
from stimuli.pictures import open_pictures

if TYPE_CHECKING:
    import mne
    from mne_bids import BIDSPath
    from numpy.typing import NDArray

PIPELINE = "perceptogram"
LOST = "BAD_acq_skip"
"""MNE's name for stretches without samples; zeros stand there."""
NOT_A_NUMBER = "BAD_not_a_number"
BOUNDARY = "BAD boundary"
EVENT = re.compile(r"(Mk\d+)=Stimulus,S\s*(\d+),(\d+),")
COLUMNS = {
    "stim_file": "Picture that appeared, in the folder stimuli",
    "picture": "Name of the picture in its set",
    "sent": "Everything else that the marker said, in JSON",
}
README = """EEG of a person who looks at pictures, exported by Perceptogram Live.

Samples are laid on the even grid of the nominal sampling rate; where samples were lost, zeros stand under an event
called BAD_acq_skip. An event's onset is the time of the sample nearest to it.
"""


@dataclass(frozen=True)
class Who:
    """The labels that a dataset's file names are made of."""

    subject: str
    session: str | None
    task: str

    def __post_init__(self) -> None:
        for name, label in (("subject", self.subject), ("session", self.session), ("task", self.task)):
            if label is not None and not label.isalnum():
                msg = f"--{name} {label!r}: BIDS labels are letters and digits only"
                raise InputError(msg)


@dataclass(frozen=True)
class Exported:
    """What went into one run."""

    recording: str
    samples: int
    lost: int
    events: int
    events_outside: int
    stimuli: int
    reconstructions: int
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Grid:
    """A recording on its sample grid: float64 ``[channels, samples]`` in volts, zeros where nothing came."""

    volts: NDArray[np.float64]
    times: NDArray[np.float64]
    index: NDArray[np.int64]
    bad: list[tuple[int, int, str]]
    lost: int

    def place(self, stamp: float, rate_hz: float) -> int:
        """Return the place of a time on the grid, be there a sample or not; in a pause longer than its gap, an end."""
        order = np.argsort(self.times, kind="stable")
        right = min(int(np.searchsorted(self.times[order], stamp)), len(order) - 1)
        left = max(right - 1, 0)
        near = min((left, right), key=lambda row: abs(self.times[order[row]] - stamp))
        ends = sorted((int(self.index[order[left]]), int(self.index[order[right]])))
        place = int(self.index[order[near]]) + round(float(stamp - self.times[order[near]]) * rate_hz)
        return min(max(place, ends[0]), ends[1])


def export_bids(
    recordings: Sequence[Path], out: Path, config: Config, who: Who, line_hz: float | None = None
) -> list[Exported]:
    """Write recordings, each as a run, to a new BIDS dataset; it is there whole or not at all.

    Parameters
    ----------
    recordings
        Files in the order of their runs.
    out
        The dataset's folder, which must be empty or absent.
    config
        Streams, channels and markers of the recordings, and the picture set.
    who
        Participant, session and task.
    line_hz
        Frequency of the mains, where it is known.

    Raises
    ------
    InputError
        If `out` holds something already, or a recording or the picture set cannot be read.
    """
    from mne_bids import make_dataset_description

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        msg = f"{out} exists and is not empty: choose another folder"
        raise InputError(msg)
    missing = [path for path in recordings if not path.exists()]
    if missing:
        msg = f"there is no recording {missing[0]}"
        raise InputError(msg)
    with whole_folder(out) as part:
        simulated = any(_is_simulated(path) for path in recordings)
        (part / "README").write_text(README, encoding="utf-8")
        name = "Perceptogram Live" + (", simulated participant" if simulated else "")
        make_dataset_description(path=part, name=name, generated_by=[_generated_by()], verbose="error")
        runs = enumerate(recordings, start=1)
        return [_export_run(path, part, config, who, run, line_hz) for run, path in runs]


def _export_run(path: Path, root: Path, config: Config, who: Who, run: int, line_hz: float | None) -> Exported:
    import mne
    from mne_bids import BIDSPath, update_sidecar_json, write_raw_bids

    recording = open_recording(path, config)
    grid = _even(recording.events(), recording.spec.rate_hz)
    pictures = _pictures(config)
    raw = mne.io.RawArray(
        grid.volts, mne.create_info(list(recording.spec.channels), recording.spec.rate_hz, "eeg"), verbose="error"
    )
    raw.info["line_freq"] = line_hz
    inside = [m for m in recording.markers if grid.times[0] <= m.stamp <= grid.times[-1]]
    shown = _write_stimuli(root / "stimuli", inside, pictures)
    raw.set_annotations(_annotations(inside, grid, shown, recording.spec.rate_hz))
    target = BIDSPath(
        subject=who.subject, session=who.session, task=who.task, run=f"{run:02d}", datatype="eeg", root=root
    )
    written = write_raw_bids(raw, target, format="BrainVision", allow_preload=True, readme=False, verbose="error")
    _name_stretches(written.fpath.with_suffix(".vmrk"), target, recording.spec.rate_hz)
    sidecar = target.copy().update(suffix="eeg", extension=".json")
    update_sidecar_json(sidecar, _sidecar(recording.spec.reference, path), verbose="error")
    _describe_columns(target)
    painted = _reconstructions(path.parent, root, written)
    return Exported(
        path.name,
        grid.volts.shape[1],
        grid.lost,
        len(inside),
        len(recording.markers) - len(inside),
        len(set(shown.values())),
        painted,
        recording.notices,
    )


def _even(events: Any, rate_hz: float) -> _Grid:
    """Lay a recording's samples on their grid."""
    timeline = Timeline(rate_hz)
    pieces: list[TimedChunk] = []
    index: list[NDArray[np.int64]] = []
    holes: list[Hole] = []
    for event in events:
        if not isinstance(event, Chunk):
            continue
        for item in timeline.push(event):
            if isinstance(item, TimedChunk):
                pieces.append(item)
                index.append(item.index)
            elif isinstance(item, Hole):
                holes.append(item)
                if item.retroactive:
                    index = [np.where(i >= item.index, i + item.lost, i) for i in index]
    places = np.concatenate(index)
    places = places - places[0]
    samples = np.concatenate([piece.samples for piece in pieces])
    volts = np.zeros((samples.shape[1], int(places[-1]) + 1))
    volts[:, places] = 1e-6 * np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0).T
    bad = [(start, stop, LOST) for start, stop in _gaps(places)]
    wrong = places[~np.isfinite(samples).all(axis=1)]
    bad += [(int(run[0]), int(run[-1]) + 1, NOT_A_NUMBER) for run in _runs(wrong)]
    first = int(index[0][0])
    bad += [(max(0, hole.index - first), max(0, hole.index - first), BOUNDARY) for hole in holes if not hole.lost]
    times = np.concatenate([piece.times for piece in pieces])
    return _Grid(volts, times, places, bad, timeline.lost)


def _gaps(places: NDArray[np.int64]) -> list[tuple[int, int]]:
    before = np.flatnonzero(np.diff(places) > 1)
    return [(int(places[row]) + 1, int(places[row + 1])) for row in before]


def _runs(places: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return np.split(places, np.flatnonzero(np.diff(places) > 1) + 1) if len(places) else []


def _annotations(markers: Sequence[Marker], grid: _Grid, shown: dict[str, str], rate_hz: float) -> mne.Annotations:
    """Return markers and bad stretches, at the samples that stand for them."""
    import mne

    onsets, durations, kinds, extras = [], [], [], []
    for marker in markers:
        onsets.append(grid.place(marker.stamp, rate_hz) / rate_hz)
        durations.append(marker.duration_s if marker.is_bad else 0.0)
        kinds.append(marker.kind)
        name = marker.picture or ""
        sent = json.dumps(dict(marker.extra), sort_keys=True) if marker.extra else "n/a"
        extras.append({"stim_file": shown.get(name, "n/a"), "picture": name or "n/a", "sent": sent})
    for start, stop, what in grid.bad:
        onsets.append(start / rate_hz)
        durations.append((stop - start) / rate_hz)
        kinds.append(what)
        extras.append(dict.fromkeys(COLUMNS, "n/a"))
    return mne.Annotations(onsets, durations, kinds, extras=extras)


def _name_stretches(path: Path, target: BIDSPath, rate_hz: float) -> None:
    """Call stretches that are not to be used by their names in the marker file, which else has numbers for all events.

    So whoever reads the BrainVision files alone sees the gaps as well.
    """
    with target.copy().update(suffix="events", extension=".tsv").fpath.open(encoding="utf-8-sig") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if row["trial_type"].casefold().startswith("bad")]
    named = {(int(row["value"]), int(row["sample"]) + 1): row for row in rows}
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        found = EVENT.match(line)
        row = named.get((int(found[2]), int(found[3]))) if found else None
        if found and row:
            size = max(1, round(float(row["duration"]) * rate_hz))
            lines[number] = f"{found[1]}=Comment,{row['trial_type']},{found[3]},{size},0"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _pictures(config: Config) -> PictureSet:
    try:
        return open_pictures(config.pictures)
    except PictureError as error:
        raise InputError(str(error)) from error


def _write_stimuli(folder: Path, markers: Sequence[Marker], pictures: PictureSet) -> dict[str, str]:
    """Write every picture that was shown once; return its file by its name."""
    from PIL import Image

    shown: dict[str, str] = {}
    for name in sorted({marker.picture for marker in markers if marker.picture is not None} & set(pictures.names)):
        folder.mkdir(exist_ok=True)
        file = f"{file_name(name)}.png"
        if file in shown.values():
            file = f"{file_name(name)}-{len(shown)}.png"
        Image.fromarray(pictures.image(name)).save(folder / file, format="PNG")
        shown[name] = file
    return shown


def _sidecar(reference: str | None, path: Path) -> dict[str, Any]:
    return {
        "EEGReference": reference or "n/a",
        "SoftwareFilters": "n/a",
        "TaskDescription": "The person looks at pictures that appear one after another.",
        "SourceFile": path.name,
    }


def _describe_columns(target: BIDSPath) -> None:
    """Say what the columns of the events mean, beside what is said of the others."""
    path = target.copy().update(suffix="events", extension=".json").fpath
    known = read_json(path, "events' description") if path.exists() else {}
    known |= {name: {"Description": text} for name, text in COLUMNS.items()}
    path.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")


def _reconstructions(session: Path, root: Path, written: BIDSPath) -> int:
    """Copy what a session decoded to the derivatives, where it lies beside its recording; return how many pictures."""
    log, painted = session / "percepts.jsonl", sorted((session / "pictures").glob("*.png"))
    if not log.exists():
        return 0
    house = root / "derivatives" / PIPELINE
    folder = house / written.directory.relative_to(root)
    folder.mkdir(parents=True, exist_ok=True)
    stem = written.basename.removesuffix("_eeg.vhdr")
    shutil.copyfile(log, folder / f"{stem}_desc-percepts.jsonl")
    for picture in painted:
        trial = "".join(letter for letter in picture.stem.partition("-")[0] if letter.isalnum())
        shutil.copyfile(picture, folder / f"{stem}_desc-trial{trial}_recon.png")
    content = {
        "Name": "Reconstructions by Perceptogram Live",
        "BIDSVersion": read_json(root / "dataset_description.json", "data set's description")["BIDSVersion"],
        "DatasetType": "derivative",
        "GeneratedBy": [_generated_by()],
    }
    (house / "dataset_description.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return len(painted)


def _is_simulated(path: Path) -> bool:
    """Return whether the session that left `path` says that its participant was simulated."""
    summary = path.parent / "summary.json"
    told = read_json(summary, "session's summary") if summary.exists() else {}
    return isinstance(told, dict) and bool(told.get("simulated"))


def _generated_by() -> dict[str, str]:
    return {"Name": "Perceptogram Live", "Version": metadata.version("perceptogram-live")}
