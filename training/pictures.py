"""The training pictures: drawn once into a cache on disk, then read as one array.

    python training/pictures.py --count 32000
    python training/pictures.py --count 32000 --prototypes

Pictures are those of `stimuli.drawn.manifest.training_picture`, whose seeds no calibration or test picture has.
Prototypes
are the same pictures with the small variations that an embedding does not tell (details of the shape, where the texture
lies) at one fixed value.
The cache can be enlarged: what is there already is not drawn again.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from rich.progress import track

from configs.files import whole_file

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from stimuli.drawn.manifest import training_picture
from stimuli.drawn.picture import DrawnPicture

CACHE = Path(__file__).resolve().parent / "cache"
SIZE = 128
PROTOTYPE = 0  # the variation that every prototype is drawn with
Kind = Literal["pictures", "prototypes"]
_PIECE = 500  # pictures a file: an interrupted run loses at most this many a process


def draw_cache(count: int, kind: Kind = "pictures", folder: Path = CACHE, processes: int = 2) -> None:
    """Draw the first `count` training pictures (rounded up to whole files) into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [i for i in range(-(-count // _PIECE)) if not _piece_path(folder, kind, i).exists()]
    with multiprocessing.Pool(processes) as pool:
        jobs = pool.imap_unordered(_draw_piece, [(folder, kind, i) for i in missing])
        for _ in track(jobs, description="drawing", total=len(missing)):
            pass


def load_pictures(
    count: int, kind: Kind = "pictures", folder: Path = CACHE
) -> tuple[NDArray[np.uint8], list[DrawnPicture]]:
    """Return the first `count` training pictures as uint8 ``[count, 128, 128, 3]`` and what each of them shows.

    Raises
    ------
    FileNotFoundError
        If fewer than `count` pictures are in the cache.
    """
    pieces = [_piece_path(folder, kind, i) for i in range(-(-count // _PIECE))]
    absent = [piece for piece in pieces if not piece.exists()]
    if absent:
        option = " --prototypes" * (kind == "prototypes")
        msg = (
            f"{len(absent)} of {len(pieces)} picture files are missing: "
            f"run python training/pictures.py --count {count}{option}"
        )
        raise FileNotFoundError(msg)
    images = np.concatenate([np.load(piece) for piece in pieces])[:count]
    return images, [training_picture(i) for i in range(count)]


def _piece_path(folder: Path, kind: Kind, index: int) -> Path:
    return folder / f"{kind}_{SIZE}_{index:04d}.npy"


def _draw_piece(job: tuple[Path, Kind, int]) -> None:
    folder, kind, index = job
    path = _piece_path(folder, kind, index)
    variation = PROTOTYPE if kind == "prototypes" else None
    with whole_file(path) as part:
        images = open_memmap(part, mode="w+", dtype=np.uint8, shape=(_PIECE, SIZE, SIZE, 3))
        for row in range(_PIECE):
            images[row] = training_picture(index * _PIECE + row).render(SIZE, variation)
        images.flush()


def main() -> None:
    """Draw the cache from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=32_000, help="pictures in the cache (default 32000)")
    parser.add_argument("--prototypes", action="store_true", help="draw the prototypes in place of the pictures")
    parser.add_argument("--processes", type=int, default=2, help="drawing processes (default 2)")
    arguments = parser.parse_args()
    draw_cache(arguments.count, "prototypes" if arguments.prototypes else "pictures", processes=arguments.processes)


if __name__ == "__main__":
    main()
