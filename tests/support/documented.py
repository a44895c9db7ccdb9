"""What the documentation tells people to type, and the files that it speaks of."""

import re
import shlex
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import typer
import yaml
from PIL import Image

from configs.schema import load_config
from perceptogram.__main__ import app
from realtime.recording.xdf_writer import XdfWriter
from realtime.sources.simulation.participant import SimulationSettings, simulate_recording
from stimuli.pictures import choose_pictures, open_pictures
from tests.support.simulated import QUICK

HOUSE = Path(__file__).parents[2]
PAGES = sorted([HOUSE / "README.md", *(HOUSE / "docs").glob("*.md"), *(HOUSE / "training").glob("*.md")])
CHANNELS = ("P7", "Pz", "P8", "Oz")
EVERY_S, LEAD_IN_S = 0.4, 4.0
BRIEF = QUICK | {"folds": 3, "alphas": [1e2, 1e4], "smooth_s": [0.0]}
"""How a map is fitted that is only made to be used."""
_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"(?<!`)`(perceptogram [^`]+)`(?!`)")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: str
    language: str
    text: str


@cache
def blocks() -> list[Block]:
    """Every fenced block of every page, without its indentation."""
    found = []
    for page in PAGES:
        for indent, language, text in _FENCE.findall(page.read_text()):
            lines = [line.removeprefix(indent) for line in text.splitlines()]
            found.append(Block(page.relative_to(HOUSE).as_posix(), language, "\n".join(lines) + "\n"))
    return found


@cache
def command_lines() -> dict[str, str]:
    """Every line that begins with ``perceptogram``, with where it stands first: pages, their prose, and ``--help``."""
    found = {}
    for block in blocks():
        if block.language in ("", "sh"):
            for line in block.text.splitlines():
                if line.startswith("perceptogram "):
                    found.setdefault(line.removesuffix(" &"), block.page)
    for page in PAGES:
        for text in _INLINE.findall(_FENCE.sub("", page.read_text())):
            found.setdefault(" ".join(text.split()), page.relative_to(HOUSE).as_posix())
    for name, command in typer.main.get_command(app).commands.items():
        for text in re.findall(r"Example: (perceptogram .+)", command.help or ""):
            found.setdefault(text.strip(), f"perceptogram {name} --help")
    return found


def parse(line: str) -> None:
    """Have the command line read by the command itself, without running it; raises what a user would be told."""
    words = shlex.split(line)[1:]
    group = typer.main.get_command(app)
    with group.make_context("perceptogram", list(words)) as context:
        name, command, rest = group.resolve_command(context, words)
        command.make_context(name, rest, parent=context).close()


def write_lab(folder: Path) -> None:
    """Fill `folder` with what a laboratory with an eight-channel amplifier has: a config and two recordings.

    The participant is simulated; the streams of a live session have the names that the config gives.
    """
    content = load_config("demo").model_dump(mode="json", exclude_unset=True)
    content.pop("name")
    content |= {"stream": {"name": "LabEEG"}, "markers": {"name": "LabMarkers"}, "fit": BRIEF}
    content["stimulus"] |= {"window_size": [400, 400], "picture_size": 256}
    content["render"] |= {"steps": 1}
    (folder / "lab.yaml").write_text(yaml.safe_dump(content))
    for number in (1, 2):
        write_recording(folder / f"run{number}.xdf", seed=number)


def write_recording(path: Path, seed: int, eeg: str = "LabEEG", marks: str = "LabMarkers") -> None:
    """Write what a recorder would: a simulated participant who looks at each picture twice.

    Parameters
    ----------
    path
        File to write.
    seed
        Day of the recording; the participant is the same.
    eeg, marks
        Names of the two streams.
    """
    pictures = open_pictures(load_config("demo").pictures, "calibration")
    names = choose_pictures(pictures, 24, seed=0)
    rng = np.random.default_rng(seed)
    order = [str(name) for _ in range(2) for name in rng.permutation(names)]
    onsets = [(name, LEAD_IN_S + EVERY_S * place) for place, name in enumerate(order)]
    timestamps, samples, markers = simulate_recording(
        pictures, onsets, SimulationSettings(session=seed, channels=CHANNELS)
    )
    channels = "".join(f"<channel><label>{name}</label><unit>microvolts</unit></channel>" for name in CHANNELS)
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = XdfWriter(path)
    writer.stream_header(
        1,
        f"<info><name>{eeg}</name><type>EEG</type><channel_count>{len(CHANNELS)}</channel_count>"
        "<nominal_srate>250</nominal_srate><channel_format>float32</channel_format><source_id>lab</source_id>"
        f"<desc><channels>{channels}</channels></desc></info>",
    )
    writer.stream_header(
        2,
        f"<info><name>{marks}</name><type>Markers</type><channel_count>1</channel_count>"
        "<nominal_srate>0</nominal_srate><channel_format>string</channel_format></info>",
    )
    for stream in (1, 2):
        writer.clock_offset(stream, timestamps[0], 0.0)
    writer.numbers(1, timestamps, samples)
    writer.texts(2, [marker.timestamp for marker in markers], [[marker.text()] for marker in markers])
    writer.close()


def write_headband(path: Path, seed: int, seconds: float) -> None:
    """Write a muse-lsl CSV of two classes, the second of which is answered by a bump at the temples."""
    rng = np.random.default_rng(seed)
    rate_hz = 256
    n = round(seconds * rate_hz)
    table = np.column_stack([1.6e9 + seed * 1000 + np.arange(n) / rate_hz, rng.normal(0, 8, (n, 4)), np.zeros(n)])
    bump = 12 * np.hanning(rate_hz // 4)
    for onset in range(4 * rate_hz, n - rate_hz, round(0.6 * rate_hz)):
        label = int(rng.integers(1, 3))
        table[onset, -1] = label
        if label == 2:
            first = onset + rate_hz // 8
            table[first : first + len(bump), 1] -= bump
            table[first : first + len(bump), 4] -= bump
    path.parent.mkdir(parents=True, exist_ok=True)
    header = "timestamps,TP9,AF7,AF8,TP10,Marker0"
    np.savetxt(path, table, delimiter=",", header=header, comments="", fmt="%.6f")


def write_pictures(folder: Path, n: int = 3) -> None:
    """Fill ``painted`` and ``shown`` with pictures of the same names."""
    rng = np.random.default_rng(0)
    for name in ("painted", "shown"):
        (folder / name).mkdir()
        for number in range(n):
            image = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
            Image.fromarray(image).save(folder / name / f"{number:02d}.png")


def write_things_eeg2(folder: Path) -> None:
    """Make the data set's tree for ten subjects, small, with embeddings of its pictures."""
    rng = np.random.default_rng(0)
    channels, times = ["Pz", "P3", "O1", "Oz"], np.round(np.arange(-0.2, 0.8, 0.05), 3)
    tables = {"training": rng.standard_normal((40, 8)) + 2, "test": rng.standard_normal((20, 8)) + 2}
    for name, file in (("training", "clip_train.npy"), ("test", "clip_test.npy")):
        np.save(folder / file, tables[name].astype(np.float32))
    for subject in range(1, 11):
        place = folder / "eeg" / f"sub-{subject:02d}"
        place.mkdir(parents=True)
        for name, repeats in (("training", 2), ("test", 4)):
            data = rng.standard_normal((len(tables[name]), repeats, len(channels), len(times)))
            content = {"preprocessed_eeg_data": data, "ch_names": channels, "times": times}
            np.save(place / f"preprocessed_eeg_{name}.npy", np.array(content, dtype=object), allow_pickle=True)
