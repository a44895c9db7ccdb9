"""Pictures in files: ``concept/picture.jpg``, a manifest in CSV, or the THINGS trees as distributed."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from configs.files import read_text
from stimuli.drawn.manifest import picture_hash
from stimuli.picture_set import PictureError, Split

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
MANIFEST = "manifest.csv"
TEST_SHARE = 0.2
FEWEST_TO_SPLIT = 5
"""Concepts from which on some are kept for a test: of fewer, each is needed to tell the others apart."""
THINGS_EEG2 = {"training_images": "calibration", "test_images": "test"}
THINGS_FOLDERS = ("object_images", "images", "Main")


@dataclass(frozen=True)
class PictureFile:
    """A picture in a file: its name in the set, where it lies, what it shows, its split, and the user's columns."""

    name: str
    path: Path
    concept: str
    split: str
    columns: Mapping[str, str] = field(default_factory=dict)


class FileSet:
    """Pictures read from files when they are asked for.

    Parameters
    ----------
    files
        One record a picture; names must be unique.
    origin
        Folder or manifest, for messages.
    """

    def __init__(self, files: Sequence[PictureFile], origin: Path) -> None:
        self._files = {file.name: file for file in files}
        self._origin = origin
        self._hashes: dict[str, str] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Names in sorted order, or in the manifest's."""
        return tuple(self._files)

    def image(self, name: str, size: int | None = None) -> NDArray[np.uint8]:
        """Return a picture, uint8 ``[h, w, 3]``, as it is, or its middle with the shorter side scaled to `size`.

        Raises
        ------
        PictureError
            If the set has no such picture, or its file is missing or broken.
        """
        from PIL import Image, ImageOps

        file = self._find(name)
        try:
            image = Image.fromarray(read_picture(file.path))
        except FileNotFoundError:
            msg = f"picture {file.path} is missing: put it back or take it out of {self._origin}"
            raise PictureError(msg) from None
        if size is not None:
            image = ImageOps.fit(image, (size, size), Image.Resampling.LANCZOS)
        return np.asarray(image, dtype=np.uint8)

    def label(self, name: str) -> str:
        """Return the concept that a picture shows."""
        return self._find(name).concept

    def attributes(self, name: str) -> Mapping[str, Any]:
        """Return the manifest's own columns for a picture; empty without a manifest."""
        return self._find(name).columns

    def hash(self, name: str) -> str:
        """Return the SHA-256 of a picture's pixels."""
        if name not in self._hashes:
            self._hashes[name] = picture_hash(self.image(name))
        return self._hashes[name]

    def _find(self, name: str) -> PictureFile:
        try:
            return self._files[name]
        except KeyError:
            example = next(iter(self._files), "none")
            msg = f"{self._origin} has no picture {name!r}; its names look like {example!r}"
            raise PictureError(msg) from None


def read_picture(path: Path) -> NDArray[np.uint8]:
    """Return the picture in a file as RGB, uint8 ``[height, width, 3]``, the way a camera says is up.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    PictureError
        If it cannot be read.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as opened:
            return np.asarray(_eight_bits(ImageOps.exif_transpose(opened)).convert("RGB"), dtype=np.uint8)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        msg = f"picture {path} cannot be read ({' '.join(str(error).split())}): replace or remove it"
        raise PictureError(msg) from error


def _eight_bits(image: Image) -> Image:
    """Return a picture of 16-bit grey as one of 8 bits; Pillow's own conversion cuts everything above 255 off.

    Raises
    ------
    ValueError
        If the pixels are of a kind whose black and white nobody knows.
    """
    from PIL.Image import fromarray

    if not image.mode.startswith(("I", "F")):
        return image
    values = np.asarray(image)
    if image.mode.startswith("F") or values.min() < 0 or values.max() > 0xFFFF:
        msg = (
            f"its pixels are of mode {image.mode}, from {values.min():g} to {values.max():g}; save it with 8 or 16 bits"
        )
        raise ValueError(msg)
    return fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8))


def open_folder(folder: Path, split: Split, seed: int) -> FileSet:
    """Return the pictures of ``folder/concept/picture.jpg``, or those that ``folder/manifest.csv`` lists.

    A set without a split of its own is split by concept, a fifth of five concepts or more for the test.

    Parameters
    ----------
    folder
        The folder, or the manifest itself.
    split
        Which part to return: ``"calibration"``, ``"test"`` or ``"all"``.
    seed
        Seed of the split by concept, where the set has none of its own.

    Raises
    ------
    PictureError
        If there is nothing to open or the manifest is wrong.
    """
    folder = folder.expanduser()
    manifest = folder if folder.suffix.lower() == ".csv" else folder / MANIFEST
    if manifest.is_file():
        return chosen_files(read_manifest(manifest, seed), split, manifest)
    concepts = _folders(folder)
    held_out = split_concepts([concept.name for concept in concepts], seed)
    files = [
        PictureFile(f"{concept.name}/{path.name}", path, concept.name, held_out[concept.name])
        for concept in concepts
        for path in _images(concept)
    ]
    return chosen_files(files, split, folder)


def open_things(folder: Path, split: Split, seed: int) -> FileSet:
    """Return a THINGS tree: THINGS-EEG2's ``training_images`` and ``test_images``, or THINGS' own concept folders.

    Parameters
    ----------
    folder
        The folder that holds the tree.
    split
        Which part to return: ``"calibration"``, ``"test"`` or ``"all"``.
    seed
        Seed of the split of THINGS' own folders, which come without one.

    Raises
    ------
    PictureError
        If the folder holds neither.
    """
    folder = folder.expanduser()
    if not any((folder / part).is_dir() for part in THINGS_EEG2):
        inner = next((folder / name for name in THINGS_FOLDERS if (folder / name).is_dir()), folder)
        return open_folder(inner, split, seed)
    files = [
        PictureFile(f"{part}/{concept.name}/{path.name}", path, re.sub(r"^\d+_", "", concept.name), side)
        for part, side in THINGS_EEG2.items()
        if (folder / part).is_dir()
        for concept in _folders(folder / part)
        for path in _images(concept)
    ]
    return chosen_files(files, split, folder)


def read_manifest(manifest: Path, seed: int) -> list[PictureFile]:
    """Return what a CSV with the columns ``picture``, ``concept`` and, if wanted, ``split`` lists.

    Paths are relative to the manifest; further columns become attributes.

    Raises
    ------
    PictureError
        If a column is missing, a row is empty or double, or a split is unknown: the message names the line.
    """
    try:
        reader = csv.DictReader(StringIO(read_text(manifest, "manifest", PictureError), newline=""))
        header = list(reader.fieldnames or [])
        rows = list(reader)
    except (OSError, csv.Error) as error:
        msg = f"cannot read manifest {manifest}: {error}"
        raise PictureError(msg) from error
    missing = [column for column in ("picture", "concept") if column not in header]
    if missing:
        msg = f"manifest {manifest} lacks column {missing[0]!r}; it has: {', '.join(header) or 'none'}"
        raise PictureError(msg)
    sides = split_concepts([row["concept"] or "" for row in rows], seed) if "split" not in header else {}
    files: dict[str, PictureFile] = {}
    for line, row in enumerate(rows, start=2):
        name, concept = (row["picture"] or "").strip(), (row["concept"] or "").strip()
        side = (row["split"] or "").strip().lower() if "split" in header else sides[row["concept"] or ""]
        side = {"train": "calibration", "training": "calibration"}.get(side, side)
        if not name or not concept:
            msg = f"manifest {manifest} line {line}: picture and concept must both be given"
            raise PictureError(msg)
        if name in files:
            msg = f"manifest {manifest} line {line}: picture {name!r} is listed twice"
            raise PictureError(msg)
        if side not in ("calibration", "test"):
            msg = f"manifest {manifest} line {line}: split must be calibration or test, found {side!r}"
            raise PictureError(msg)
        columns = {
            key: value for key, value in row.items() if key and value and key not in ("picture", "concept", "split")
        }
        files[name] = PictureFile(name, manifest.parent / name, concept, side, columns)
    return list(files.values())


def split_concepts(concepts: Sequence[str], seed: int) -> dict[str, str]:
    """Return ``"calibration"`` or ``"test"`` for each concept: a seeded fifth for the test, of fewer than five none."""
    distinct = sorted(set(concepts))
    n_test = round(TEST_SHARE * len(distinct)) if len(distinct) >= FEWEST_TO_SPLIT else 0
    chosen = np.random.default_rng(seed).permutation(len(distinct))[:n_test]
    held_out = {distinct[index] for index in chosen}
    return {concept: "test" if concept in held_out else "calibration" for concept in distinct}


def chosen_files(files: list[PictureFile], split: Split, origin: Path) -> FileSet:
    """Return the set of those of `files` that are in a split.

    Parameters
    ----------
    files
        All pictures.
    split
        Which part to return: ``"calibration"``, ``"test"`` or ``"all"``.
    origin
        Folder or manifest, for messages.

    Raises
    ------
    PictureError
        If there are none, but for those of a test: a set need not have any.
    """
    if not files:
        msg = f"no pictures in {origin}: expected concept folders with {', '.join(sorted(SUFFIXES))} files"
        raise PictureError(msg)
    chosen = [file for file in files if split in ("all", file.split)]
    if not chosen and split != "test":
        msg = f"{origin} has no picture in the {split} split"
        raise PictureError(msg)
    return FileSet(chosen, origin)


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        msg = f"cannot open picture folder {folder}: {error.strerror or error}"
        raise PictureError(msg) from error


def _images(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
