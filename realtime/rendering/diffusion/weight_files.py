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
from fnmatch import fnmatch
from pathlib import Path

from realtime.rendering.diffusion.tensor_files import HALF, SAFETENSORS, check_folder, is_half, is_plain
from realtime.rendering.errors import GeneratorError

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
        Size and licence of the default; told before it is downloaded.
    needs
        Patterns of which a folder must hold at least one file each.
    files
        Patterns of all that is worth downloading from a hub id; the whole where there are none. Of weights in several
        arithmetics those in half precision are taken where there are any, and the full ones elsewhere.
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

    def command(self, *, half: bool = True) -> str:
        """Return what downloads it into the cache, in half precision or, for those that have none, in full."""
        if self.file is not None:
            return f"hf download {self.repo} {self.file}"
        patterns = (p.removesuffix(SAFETENSORS) + HALF if half and _of_network(p) else p for p in self.files)
        return " ".join([f"hf download {self.repo}", *(f"--include '{pattern}'" for pattern in patterns)])

    @property
    def _parts(self) -> re.Match[str]:
        match = _HUB_ID.fullmatch(self.where)
        if match is None:
            msg = f"{self.setting}: {self.where!r} is neither a file or folder that exists nor a hub id 'owner/name'"
            raise GeneratorError(msg)
        return match


def locate(wanted: Sequence[Weights], download: bool = False) -> list[Path]:
    """Return the folder or file of each of some weights.

    Parameters
    ----------
    wanted
        What is needed.
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
        terms = "; ".join(f"{weights.what}: {weights.licence}" for weights in missing)
        room = _check_room(missing, size)
        if not download:
            msg = (
                f"not on this machine: {_names(missing)}; download about {size:.1f} GB ({room:.0f} GB free; "
                f"licences: {terms}) with: {' && '.join(map(_command, missing))} — or set "
                f"{' and '.join(weights.setting for weights in missing)} to local files, or render.download to true"
            )
            raise GeneratorError(msg)
        logger.warning("downloading %s, about %.1f GB (licences: %s)", _names(missing), size, terms)
        found = [path or _download(weights) for weights, path in zip(wanted, found, strict=True)]
    return [path for path in found if path is not None]


def _find(weights: Weights) -> Path | None:
    """Return where the weights are on this machine; None if they must be downloaded."""
    local = Path(weights.where).expanduser()
    try:
        if local.is_file():
            return local
        if local.is_dir():
            for pattern in _lacking(weights, local):
                msg = f"{weights.setting}: folder {local} holds no {pattern}; it must be a {weights.what} folder"
                raise GeneratorError(msg)
            return local
    except OSError as error:
        msg = f"{weights.setting}: {local} cannot be read: {error.strerror or error}"
        raise GeneratorError(msg) from error
    from huggingface_hub import try_to_load_from_cache

    if weights.file is not None:
        cached = try_to_load_from_cache(weights.repo, weights.file)
        return Path(cached) if isinstance(cached, str) else None
    folder = _snapshot(weights)
    return folder if folder is not None and not _lacking(weights, folder) else None


def _snapshot(weights: Weights) -> Path | None:
    """Return what of a hub id is in the cache, whole or not."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(weights.repo, local_files_only=True))
    except LocalEntryNotFoundError:
        return None


def _lacking(weights: Weights, folder: Path) -> list[str]:
    return [pattern for pattern in weights.needs if not any(folder.glob(pattern))]


def _command(weights: Weights) -> str:
    # what was downloaded in half precision and lacks its weights has none in half precision
    return weights.command(half=weights.file is not None or _snapshot(weights) is None)


def _download(weights: Weights) -> Path:
    """Download what is worth it, and look whether all of it came."""
    from huggingface_hub import HfApi, hf_hub_download, snapshot_download

    try:
        if weights.file is not None:
            path = Path(hf_hub_download(weights.repo, weights.file))
        else:
            published = HfApi().model_info(weights.repo, files_metadata=True).siblings or []
            sizes = {file.rfilename: file.size or 0 for file in published}
            chosen = worth_downloading(list(sizes), weights)
            _check_room([weights], sum(sizes[name] for name in chosen) / 1e9)
            path = Path(snapshot_download(weights.repo, allow_patterns=chosen))
    except GeneratorError:
        raise
    except Exception as error:  # the hub's client raises many kinds; all mean that the weights are not here
        reason = " ".join(str(error).split())
        msg = f"cannot download {weights.what} from {weights.repo}: {reason}; try: {weights.command()}"
        raise GeneratorError(msg) from error
    lacking = [] if path.is_file() else _lacking(weights, path)
    if lacking:
        msg = f"{weights.repo} on the hub holds no {', '.join(lacking)}: {weights.setting} must be a {weights.what}"
        raise GeneratorError(msg)
    for folder in [] if path.is_file() else [path, *(part for part in path.iterdir() if part.is_dir())]:
        check_folder(folder)
    return path


def worth_downloading(names: Sequence[str], weights: Weights) -> list[str]:
    """Return which of a hub id's files are worth downloading: weights in half precision where there are any."""
    wanted = [name for name in names if not weights.files or any(fnmatch(name, p) for p in weights.files)]
    kept, full = [], []
    for folder, group in _by_folder(wanted).items():
        tensors = [name for name in group if name.endswith(SAFETENSORS)]
        plain = [name for name in tensors if is_plain(name)]
        half = [name for name in tensors if is_half(name)]
        kept += [name for name in group if name not in tensors] + (half or plain or tensors)
        if plain and not half and folder:
            full.append(folder)
    if full and any(map(_of_network, weights.files)):
        logger.warning(
            "%s has no half-precision weights of %s: the full ones, twice as large, are downloaded",
            weights.repo,
            ", ".join(full),
        )
    return kept


def _of_network(pattern: str) -> bool:
    """Return whether a pattern is of the weights of one of a pipeline's networks, which have a folder each."""
    return "/" in pattern and pattern.endswith(SAFETENSORS)


def _by_folder(names: Sequence[str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(name.rpartition("/")[0], []).append(name)
    return groups


def _check_room(missing: Sequence[Weights], size_gb: float) -> float:
    """Return the room there is in GB; refuse what does not fit."""
    room = _room_gb()
    if size_gb > room:
        msg = (
            f"{_names(missing)} must be downloaded, about {size_gb:.1f} GB, but only {room:.1f} GB are free in "
            f"{_cache()}; make room or set HF_HOME to another disk"
        )
        raise GeneratorError(msg)
    return room


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
