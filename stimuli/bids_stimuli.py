"""Pictures of a BIDS data set: what its ``stimuli`` folder holds, by ``stimuli.tsv`` where there is one."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from configs.files import read_tsv
from stimuli.picture_files import SUFFIXES, THINGS_EEG2, FileSet, PictureFile, chosen_files, split_concepts
from stimuli.picture_set import PictureError, Split

FOLDER = "stimuli"
TABLE = "stimuli.tsv"


def open_bids(root: Path, split: Split, seed: int) -> FileSet:
    """Return the pictures of a data set, each named by its path in ``stimuli``, as ``stim_file`` has it.

    A picture's concept is its folder without the number before it, or the file's own name without the number behind it.
    ``training_images`` and ``test_images`` are THINGS-EEG2's split; others are split by concept.

    Parameters
    ----------
    root
        The data set.
    split
        Which part to return: ``"calibration"``, ``"test"`` or ``"all"``.
    seed
        Seed of the split by concept.

    Raises
    ------
    PictureError
        If there is no picture.
    """
    folder = root.expanduser() / FOLDER
    listed = stimulus_files(folder / TABLE)
    names = sorted(set(listed.values())) or sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    )
    if not names:
        msg = f"no pictures in {folder}: put them where stim_file of events.tsv says, or give their embeddings"
        raise PictureError(msg)
    concepts = {name: _concept(name) for name in names}
    by_concept = split_concepts([*concepts.values()], seed)
    files = [
        PictureFile(
            name,
            folder / name,
            concepts[name],
            THINGS_EEG2.get(name.partition("/")[0]) or by_concept[concepts[name]],
        )
        for name in names
    ]
    return chosen_files(files, split, folder)


def _concept(name: str) -> str:
    folder, _, file = name.rpartition("/")
    inner = folder.rpartition("/")[2]
    if inner and inner not in THINGS_EEG2:
        return re.sub(r"^\d+_", "", inner)
    stem = file.rpartition(".")[0] or file
    return re.sub(r"[-_ ]?\d+[a-z]?$", "", stem) or stem


@lru_cache(maxsize=8)
def stimulus_files(table: Path) -> dict[str, str]:
    """Return the file of each identifier in ``stimuli.tsv``, relative to its folder; empty where there is no table."""
    if not table.is_file():
        return {}
    rows = read_tsv(table, "table of stimuli")
    present = [row for row in rows if row.get("present", "true").casefold() != "false"]
    return {row["stimulus_id"]: row["filename"] for row in present if row.get("stimulus_id") and row.get("filename")}
