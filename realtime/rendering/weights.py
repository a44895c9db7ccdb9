"""Where a generator's weights are: a local folder, a single file, or the Hugging Face cache.

Nothing is downloaded unless the settings say so. What is absent is told at once, all of it, with the command that gets
it, its size, the room there is, and its licence.
"""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from realtime.rendering.generator import GeneratorError

logger = logging.getLogger(__name__)

_HUB_ID = re.compile(r"(?P<repo>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:/(?P<file>.+))?")


@dataclass(frozen=True)
class Weights:
    """Something that a generator needs on the disk.

    Attributes
    ----------
    what
        Name for people.
    setting
        Key of the setting that says where it is.
    where
        Local folder or file, hub id ``owner/name``, or a file on the hub, ``owner/name/path/to/file``.
    size_gb, licence
        Of the default; told before it is downloaded.
    needs
        Patterns of which a folder must hold at least one file each.
    files
        Patterns of all that is worth downloading from a hub id; the whole where there are none.
    """

    what: str
    setting: str
    where: str
    size_gb: float
    licence: str
    needs: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    @property
    def repo(self) -> str:
        """Hub id without the file."""
        return self._parts["repo"] or ""

    @property
    def file(self) -> str | None:
        """File within the hub id; None for a folder."""
        return self._parts["file"]

    @property
    def command(self) -> str:
        """What downloads it into the cache."""
        if self.file is not None:
            return f"hf download {self.repo} {self.file}"
        return " ".join([f"hf download {self.repo}", *(f"--include '{pattern}'" for pattern in self.files)])

    @property
    def _parts(self) -> re.Match[str]:
        match = _HUB_ID.fullmatch(self.where)
        if match is None:
            msg = f"{self.setting}: {self.where!r} is neither a file or folder that exists nor a hub id 'owner/name'"
            raise GeneratorError(msg)
        return match


def locate(wanted: Sequence[Weights], download: bool = False) -> list[Path]:
    """Return the folder or file of each of `wanted`.

    Parameters
    ----------
    download
        Whether to download what is absent; what and under which licence is logged before.

    Raises
    ------
    GeneratorError
        If something is absent and not to be downloaded, if there is no room for it, or if a folder is incomplete.
    """
    found = [_find(weights) for weights in wanted]
    missing = [weights for weights, path in zip(wanted, found, strict=True) if path is None]
    if missing:
        size = sum(weights.size_gb for weights in missing)
        room = _room_gb()
        terms = "; ".join(f"{weights.what}: {weights.licence}" for weights in missing)
        if size > room:
            msg = (
                f"{_names(missing)} must be downloaded, about {size:.1f} GB, but only {room:.1f} GB are free in "
                f"{_cache()}; make room or set HF_HOME to another disk"
            )
            raise GeneratorError(msg)
        if not download:
            msg = (
                f"not on this machine: {_names(missing)}; download about {size:.1f} GB ({room:.0f} GB free; "
                f"licences: {terms}) with: {' && '.join(weights.command for weights in missing)} — or set "
                f"{' and '.join(weights.setting for weights in missing)} to local files, or render.download to true"
            )
            raise GeneratorError(msg)
        logger.warning("downloading %s, about %.1f GB (licences: %s)", _names(missing), size, terms)
        found = [path or _download(weights) for weights, path in zip(wanted, found, strict=True)]
    return [path for path in found if path is not None]


def _find(weights: Weights) -> Path | None:
    """Return where the weights are on this machine; None if they must be downloaded."""
    local = Path(weights.where).expanduser()
    if local.is_file():
        return local
    if local.is_dir():
        for pattern in weights.needs:
            if not any(local.glob(pattern)):
                msg = f"{weights.setting}: folder {local} holds no {pattern}; it must be a {weights.what} folder"
                raise GeneratorError(msg)
        return local
    from huggingface_hub import snapshot_download, try_to_load_from_cache
    from huggingface_hub.errors import LocalEntryNotFoundError

    if weights.file is not None:
        cached = try_to_load_from_cache(weights.repo, weights.file)
        return Path(cached) if isinstance(cached, str) else None
    try:
        folder = Path(snapshot_download(weights.repo, local_files_only=True))
    except LocalEntryNotFoundError:
        return None
    return folder if all(any(folder.glob(pattern)) for pattern in weights.needs) else None


def _download(weights: Weights) -> Path:
    from huggingface_hub import hf_hub_download, snapshot_download

    try:
        if weights.file is not None:
            return Path(hf_hub_download(weights.repo, weights.file))
        return Path(snapshot_download(weights.repo, allow_patterns=list(weights.files) or None))
    except Exception as error:  # the hub's client raises many kinds; all mean that the weights are not here
        reason = " ".join(str(error).split())
        msg = f"cannot download {weights.what} from {weights.repo}: {reason}; try: {weights.command}"
        raise GeneratorError(msg) from error


def _names(missing: Sequence[Weights]) -> str:
    return ", ".join(f"{weights.what} ({weights.where})" for weights in missing)


def _cache() -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def _room_gb() -> float:
    """Return the free space of the disk that holds, or will hold, the cache."""
    folder = _cache()
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free / 1e9
