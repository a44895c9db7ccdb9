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

from configs.errors import InputError
from configs.files import file_name, read_json, whole_folder
from configs.schema import Config
from perceptogram.raw import COLUMNS, lay_out
from realtime.sources.base import Marker
from stimuli.picture_set import PictureError, PictureSet
from stimuli.pictures import open_pictures

if TYPE_CHECKING:
    from mne_bids import BIDSPath

PIPELINE = "perceptogram"
EVENT = re.compile(r"(Mk\d+)=Stimulus,S\s*(\d+),(\d+),")
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
    from mne_bids import BIDSPath, update_sidecar_json, write_raw_bids

    even = lay_out(path, config)
    grid, inside, recording = even.grid, even.markers, even.recording
    shown = _write_stimuli(root / "stimuli", inside, _pictures(config))
    raw = even.raw(shown)
    raw.info["line_freq"] = line_hz
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
