"""Files of tensors as weights are published: ``.safetensors``, or torch's own, of which only tensors are read.

Whatever is wrong with a file is told in one line that names it.
"""

from __future__ import annotations

import json
import pickle
import re
import zipfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from realtime.rendering.errors import GeneratorError

SAFETENSORS = ".safetensors"
HALF = ".fp16.safetensors"
_PLAIN = re.compile(r"[^.]+\.safetensors")
_HALF = re.compile(r"[^.]+\.fp16(-\d+-of-\d+)?\.safetensors")
TORCH_SUFFIXES = (".bin", ".ckpt", ".pt", ".pth")


def read_tensors(path: Path, prefixes: Collection[str] = ("",)) -> dict[str, Tensor]:
    """Return the tensors of a file whose names start with one of `prefixes`.

    Nested groups, as in an IP-Adapter's ``.bin``, are joined by dots; what a training run wrapped in ``state_dict`` is
    unwrapped.

    Raises
    ------
    GeneratorError
        If the file cannot be read, is not whole, is no file of tensors, or holds code beside them.
    """
    from safetensors import safe_open

    wanted = tuple(prefixes)
    with told_of(path, "whole weights"):
        path.open("rb").close()
        if path.suffix == ".safetensors":
            with safe_open(path, "pt") as file:
                return {name: file.get_tensor(name) for name in file.keys() if name.startswith(wanted)}  # noqa: SIM118
        return {name: tensor for name, tensor in _pickled(path).items() if name.startswith(wanted)}


def tensor_names(path: Path) -> list[str]:
    """Return the names of a file's tensors; of a ``.safetensors`` no more than its head is read.

    Raises
    ------
    GeneratorError
        As `read_tensors`.
    """
    from safetensors import safe_open

    with told_of(path, "whole weights"):
        path.open("rb").close()  # the library says "no such file" of one that may not be read
        if path.suffix == ".safetensors":
            with safe_open(path, "pt") as file:  # refuses a file that is shorter than its head says
                return list(file.keys())
        return list(_pickled(path))


def check_folder(folder: Path) -> None:
    """Refuse a folder of weights of which a file is damaged, cut short or absent.

    Raises
    ------
    GeneratorError
        Naming the file.
    """
    for index in sorted(folder.glob("*.index*.json")):
        with told_of(index, "a list of files"):
            parts = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        absent = sorted(part for part in parts if not (folder / part).is_file())
        # of a variant that was left out no part is there
        if absent and len(absent) < len(parts):
            msg = (
                f"{folder} is not whole: {', '.join(absent)} of {index.name} is missing; download it again, or take "
                "the rest"
            )
            raise GeneratorError(msg)
    for file in sorted(folder.glob("*.safetensors")):
        tensor_names(file)


def variant_of(folder: Path, half: bool) -> str | None:
    """Return ``"fp16"`` if that is wanted and there, or all that is there."""
    small = any(is_half(file.name) for file in folder.iterdir())
    large = any(is_plain(file.name) for file in folder.iterdir())
    return "fp16" if small and (half or not large) else None


def is_half(name: str) -> bool:
    """Return whether a file holds weights in half precision: ``model.fp16.safetensors``, or a part of it."""
    return _HALF.fullmatch(name.rpartition("/")[2]) is not None


def is_plain(name: str) -> bool:
    """Return whether a file holds weights of no variant: ``model.safetensors``, or a part of it, but no ``non_ema``."""
    return _PLAIN.fullmatch(name.rpartition("/")[2]) is not None


@contextmanager
def told_of(path: Path, what: str) -> Iterator[None]:
    """Tell of whatever goes wrong while `what` is read from `path` in one line that names it.

    Raises
    ------
    GeneratorError
        In place of the many kinds that the libraries raise.
    """
    from safetensors import SafetensorError

    try:
        yield
    except (GeneratorError, torch.OutOfMemoryError):
        raise
    except pickle.UnpicklingError as error:
        msg = f"{path} is damaged, or holds code beside its tensors and is not opened; take its .safetensors"
        raise GeneratorError(msg) from error
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        msg = f"{path} does not hold {what}: {reason}; remove it and copy or download it again, or name another"
        raise GeneratorError(msg) from error


def _pickled(path: Path) -> dict[str, Tensor]:
    if path.suffix not in TORCH_SUFFIXES:
        msg = f"{path} is no file of weights: it must be one of .safetensors, {', '.join(TORCH_SUFFIXES)}"
        raise GeneratorError(msg)
    content: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    while isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    return dict(_flat(content)) if isinstance(content, Mapping) else {}


def _flat(group: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Tensor]]:
    for name, value in group.items():
        if isinstance(value, Tensor):
            yield f"{above}{name}", value
        elif isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name}.")
