"""Who made a folder: a command writes only where nothing is, and takes away only what it wrote itself.

A folder that a command has written to holds a small file that names the command, so that a folder of somebody else's
with files of the same names is never taken for its own.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from configs.errors import InputError
from configs.files import write_whole

MARK = ".perceptogram"
"""The file that names the command by which a folder was made."""


def made_by(folder: Path) -> str | None:
    """Return the command that made `folder`, such as ``run``; None where no command did."""
    mark = folder / MARK
    return mark.read_text(encoding="utf-8", errors="replace").strip() if mark.is_file() else None


def check(folder: Path, command: str, *, overwrite: bool = False) -> None:
    """Refuse a folder that `command` must not write to; nothing is touched.

    Parameters
    ----------
    folder
        Where results would go. One that is missing or empty will do.
    command
        The command that asks, such as ``run``.
    overwrite
        Whether what the same command left there may be replaced.

    Raises
    ------
    InputError
        If the folder holds anything that this command did not make, or made and may not replace.
    """
    if folder.exists() and not folder.is_dir():
        msg = f"{folder} is a file: name a folder"
        raise InputError(msg)
    held = sorted(path.name for path in folder.iterdir() if path.name != MARK) if folder.is_dir() else []
    if not held:
        return
    if made_by(folder) != command:
        msg = f"{folder} holds {', '.join(held[:3])} and was not made by 'perceptogram {command}': name an empty folder"
        raise InputError(msg)
    if not overwrite:
        msg = f"{folder} holds what 'perceptogram {command}' wrote: name another folder, or add --overwrite"
        raise InputError(msg)


def claim(folder: Path, command: str, writes: Sequence[str], *, overwrite: bool = False) -> None:
    """Make `folder` ready for what `command` writes: there, free of what it wrote before, and marked as its own.

    Parameters
    ----------
    folder, command, overwrite
        As for `check`, which is asked first.
    writes
        Names or patterns of all that the command writes into the folder; what else lies there stays.

    Raises
    ------
    InputError
        As by `check`.
    """
    check(folder, command, overwrite=overwrite)
    clear(folder, writes)
    write_whole(folder / MARK, f"{command}\n")


def clear(folder: Path, writes: Sequence[str]) -> None:
    """Take away what lies in `folder` under these names or patterns, and nothing else."""
    for pattern in writes:
        for path in sorted(folder.glob(pattern)):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
