"""Reading text that people wrote; writing a file or folder so that whoever opens it finds all of it, or the old one.

And a file's name of anything that somebody else has named.
"""

from __future__ import annotations

import csv
import json
import re
import shutil
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

from configs.errors import InputError


def read_text(path: Path, what: str, error: type[InputError] = InputError) -> str:
    """Return the text of a file in UTF-8, as which every editor can save.

    Parameters
    ----------
    path
        The file.
    what
        How to call the file where it cannot be used.
    error
        What to raise where it is not UTF-8; an OSError where it cannot be read is the caller's.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as wrong:
        msg = f"{what} {path} is not UTF-8 (byte {wrong.start} is {wrong.object[wrong.start]:#04x}): save it as UTF-8"
        raise error(msg) from wrong


def read_json(path: Path, what: str) -> Any:
    """Return what a JSON file holds.

    Raises
    ------
    InputError
        If it is not JSON.
    """
    try:
        return json.loads(read_text(path, what))
    except (json.JSONDecodeError, RecursionError) as error:
        msg = f"{what} {path} is not JSON: {error}"
        raise InputError(msg) from error


def read_tsv(path: Path, what: str) -> list[dict[str, str]]:
    """Return the rows of a table whose columns are parted by tabs, by the names in its first line.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    try:
        reader = csv.DictReader(StringIO(read_text(path, what), newline=""), delimiter="\t")
        return [{str(key): value or "" for key, value in row.items() if key is not None} for row in reader]
    except (OSError, csv.Error) as error:
        msg = f"cannot read {what} {path}: {error}"
        raise InputError(msg) from error


LONGEST_NAME = 100
"""Bytes of a name in `file_name`; file systems take 255, and what stands before and behind it needs room."""


def file_name(name: str) -> str:
    """Return what any file system takes for `name`: letters, digits and ``. _ -`` stay, all else becomes ``_``.

    Two names may become one; where that matters, whoever writes the file looks.
    """
    kept = re.sub(r"[^\w.-]", "_", name).lstrip(".").encode()[:LONGEST_NAME].decode(errors="ignore")
    return kept or "_"


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a new name beside `path` to write to, and put it in the place of `path` once all is written.

    A missing folder is made. After an error all is as before.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        yield part
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_whole(path: Path, content: str | bytes) -> None:
    """Write text (UTF-8) or bytes as `whole_file` does."""
    with whole_file(path) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def whole_folder(folder: Path, ours: Collection[str] = ()) -> Iterator[Path]:
    """Yield a new folder beside `folder` to write to, and put it in the place of `folder` once all is written.

    Of what lies in `folder`, files called as in `ours` give way to the new ones; everything else stays there. After an
    error all is as before.
    """
    folder = folder.resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = folder.with_name(f"{folder.name}.{uuid.uuid4().hex[:8]}.part")
    part.mkdir()
    try:
        yield part
        if folder.exists():
            _exchange(folder, part, ours)
        else:
            part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _exchange(folder: Path, new: Path, ours: Collection[str]) -> None:
    old = new.with_suffix(".old")
    folder.rename(old)
    try:
        new.rename(folder)
    except OSError:
        old.rename(folder)
        raise
    for path in old.iterdir():
        if path.name in ours:
            path.unlink()
        else:
            path.rename(folder / path.name)
    old.rmdir()
