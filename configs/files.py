"""Writing a file or a folder so that whoever opens it finds all of it, or the one that was there before."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path


def write_whole(path: Path, content: str | bytes) -> None:
    """Write text (UTF-8) or bytes beside `path` and put them in its place; a missing folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_bytes(content.encode() if isinstance(content, str) else content)
    part.replace(path)


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
