"""What one person was shown, and the EEG after it, block by block: never more than one block is in memory.

A block is a run of a BIDS data set, cut once and kept on the disk, or some pictures of a preprocessed file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.data.pickled_arrays import Preprocessed
from calibration.data.reading import read_trials
from calibration.errors import FitError
from configs.files import whole_file
from configs.schema import Config
from realtime.sources.bids import read_events

_VERSION = 1
"""Version of the files of windows; those of another are made again."""
_PICTURES = 500
"""Pictures of a preprocessed file that make a block."""
_LEAST_CLEAN = 0.25
"""Share of windows without artefacts below which the limits do not suit the amplifier, and decide nothing."""
_CUTTING = ("stream", "markers", "filters", "window", "artefacts")


@dataclass(frozen=True)
class Block:
    """Some presentations.

    Attributes
    ----------
    samples
        float32 ``[presentations, times, channels]`` in microvolts.
    pictures
        int64 ``[presentations]``: which picture was shown.
    clean
        bool ``[presentations]``: whether the window may be learned from.
    """

    samples: NDArray[np.float32]
    pictures: NDArray[np.int64]
    clean: NDArray[np.bool_]


@dataclass(frozen=True)
class Presentations:
    """All presentations of one part of an experiment to one person.

    Attributes
    ----------
    channels
        Names in order.
    times_s
        float64 ``[times]``: seconds after onset.
    readers
        What reads each block.
    n_clean
        How many windows may be learned from.
    mark
        What the windows depend on: with the same mark they are the same.
    notices
        What people should know of how they were read, one line each.
    """

    channels: tuple[str, ...]
    times_s: NDArray[np.float64]
    readers: tuple[Callable[[], Block], ...]
    n_clean: int
    mark: str
    notices: tuple[str, ...] = ()

    def blocks(self, keep: NDArray[np.bool_]) -> Iterator[Block]:
        """Yield the blocks, their windows cut to the times that the mask `keep` ``[times]`` names."""
        for read in self.readers:
            block = read()
            yield Block(block.samples[:, keep], block.pictures, block.clean)

    def means(self, keep: NDArray[np.bool_], count: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return the mean window ``[shown, times, channels]`` of each picture shown, and which ``[shown]`` it is.

        Parameters
        ----------
        keep
            ``[times]``: which are wanted.
        count
            How many pictures there are.
        """
        sums = np.zeros((count, int(np.count_nonzero(keep)), len(self.channels)), dtype=np.float32)
        shown = np.zeros(count, dtype=np.int64)
        for block in self.blocks(keep):
            np.add.at(shown, block.pictures[block.clean], 1)
            for place in np.flatnonzero(block.clean):
                sums[block.pictures[place]] += block.samples[place]
        which = np.flatnonzero(shown)
        sums /= np.maximum(shown, 1)[:, None, None]
        return (sums if len(which) == count else sums[which]), which

    def singles(self, keep: NDArray[np.bool_]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return every clean window ``[windows, times, channels]``, and its picture ``[windows]``.

        Parameters
        ----------
        keep
            ``[times]``: which are wanted.
        """
        samples = np.empty((self.n_clean, int(np.count_nonzero(keep)), len(self.channels)), dtype=np.float32)
        pictures = np.empty(self.n_clean, dtype=np.int64)
        start = 0
        for block in self.blocks(keep):
            stop = start + int(np.count_nonzero(block.clean))
            samples[start:stop], pictures[start:stop] = block.samples[block.clean], block.pictures[block.clean]
            start = stop
        return samples, pictures


def of_arrays(content: Preprocessed, mark: str) -> Presentations:
    """Return the presentations in a preprocessed file, whose pictures are numbered as they lie in it."""
    count, repeats = content.samples.shape[:2]

    def read(start: int) -> Block:
        part = content.samples[start : start + _PICTURES]
        pictures = np.repeat(np.arange(start, start + len(part)), repeats)
        return Block(part.reshape(-1, *part.shape[2:]), pictures, np.ones(len(pictures), np.bool_))

    starts = range(0, count, _PICTURES)
    readers = tuple(partial(read, start) for start in starts)
    return Presentations(content.channels, content.times_s, readers, count * repeats, mark)


def of_runs(paths: Sequence[Path], config: Config, names: Sequence[str], folder: Path) -> Presentations:
    """Return the presentations in the runs of a BIDS data set; what was cut before is not cut again.

    Parameters
    ----------
    paths
        The runs of one person.
    config
        Filters, window, channels and markers.
    names
        The pictures, in the order of their numbers.
    folder
        Where the windows of each run are kept.

    Raises
    ------
    FitError
        If a run holds no picture, or one that is not among `names`.
    """
    files = [cut_run(path, config, folder) for path in paths]
    told = [_read_record(file) for file in files]
    clean = [np.array(one["clean"], dtype=np.bool_) for one in told]
    if np.concatenate(clean).mean() < _LEAST_CLEAN:
        clean = [np.ones_like(one) for one in clean]
    numbers = {name: number for number, name in enumerate(names)}
    readers = []
    for path, file, one, usable in zip(paths, files, told, clean, strict=True):
        unknown = sorted(set(one["pictures"]) - numbers.keys())
        if unknown:
            msg = f"{path.name} shows {unknown[0]!r}, of which there is no embedding ({len(unknown)} such pictures)"
            raise FitError(msg)
        pictures = np.array([numbers[name] for name in one["pictures"]], dtype=np.int64)
        readers.append(partial(_read_block, file, pictures, usable))
    return Presentations(
        tuple(told[0]["channels"]),
        np.array(told[0]["times_s"], dtype=np.float64),
        tuple(readers),
        int(sum(one.sum() for one in clean)),
        " ".join(file.stem for file in files),
        tuple(dict.fromkeys(text for one in told for text in one["notices"])),
    )


def cut_run(path: Path, config: Config, folder: Path) -> Path:
    """Return the file that holds the windows of one run, made if it is not there.

    Parameters
    ----------
    path
        The run.
    config
        Filters, window, channels and markers.
    folder
        Where the windows are kept, under a name that tells the run and the settings.

    Raises
    ------
    FitError
        If the run holds no picture.
    """
    from safetensors.numpy import save_file

    file = windows_file(path, config, folder)
    if file.exists():
        return file
    trials = read_trials([path], config)
    told = {
        "pictures": trials.names.tolist(),
        "clean": [not flags for flags in trials.flags],
        "channels": trials.spec.channels,
        "times_s": trials.times_s.tolist(),
        "refused": len(trials.refused),
        "notices": trials.notices,
    }
    with whole_file(file) as part:
        save_file({"samples": trials.samples}, part, {"told": json.dumps(told)})
    return file


def windows_file(path: Path, config: Config, folder: Path) -> Path:
    """Return where the windows of a run are kept: elsewhere for every other state of the file, or other settings.

    Parameters
    ----------
    path, config, folder
        As for `cut_run`.
    """
    state, settings = path.stat(), config.model_dump_json(include=set(_CUTTING))
    key = hashlib.sha256(f"{_VERSION} {path.name} {state.st_size} {state.st_mtime_ns} {settings}".encode()).hexdigest()
    return folder / f"{path.stem}-{key[:16]}.safetensors"


def shown_pictures(paths: Sequence[Path], config: Config) -> list[str]:
    """Return the names of all pictures that runs of a BIDS data set show, sorted."""
    events = (marker for path in paths for marker in read_events(path, config.markers, 0.0))
    return sorted({marker.picture for marker in events if marker.picture is not None})


def _read_record(file: Path) -> dict[str, Any]:
    from safetensors import safe_open

    with safe_open(file, framework="np") as opened:
        told: dict[str, Any] = json.loads(opened.metadata()["told"])
    return told


def _read_block(file: Path, pictures: NDArray[np.int64], clean: NDArray[np.bool_]) -> Block:
    from safetensors.numpy import load_file

    return Block(load_file(file)["samples"], pictures, clean)
