"""What an installation may lack: the extras, and which modules each brings."""

from __future__ import annotations

from importlib.util import find_spec

from configs.errors import InputError

BRINGS = {
    "gpu": ("torch", "torchvision", "open_clip", "timm", "diffusers", "transformers", "accelerate", "huggingface_hub"),
    "boards": ("brainflow",),
    "bids": ("mne_bids", "pybv"),
    "broker": ("amqtt",),
    "film": ("imageio_ffmpeg",),
    "cluster": ("distributed",),
}
"""Modules by extra. Pictures are embedded and painted by ``gpu``, with a GPU or without."""


class ExtraMissingError(InputError):
    """Something was asked for that only an extra brings."""

    about = "extras"


def lacking(extra: str, what: str) -> str | None:
    """Return in one line what an extra would bring that is not installed; None where all is there.

    Parameters
    ----------
    extra
        Its name.
    what
        What needs it, such as ``"painting"``.
    """
    missing = next((module for module in BRINGS[extra] if not _installed(module)), None)
    return None if missing is None else _line(missing, extra, what)


def require(extra: str, what: str) -> None:
    """Refuse, with `ExtraMissingError`, what an extra brings that is not installed; arguments as those of `lacking`."""
    line = lacking(extra, what)
    if line is not None:
        raise ExtraMissingError(line)


def told(error: ImportError) -> str | None:
    """Return which extra brings what could not be imported, in one line; None where it is none's.

    Examples
    --------
    >>> told(ModuleNotFoundError("No module named 'pybv'", name="pybv"))
    "this needs pybv, which is not installed: pip install 'perceptogram-live[bids]'"
    """
    module = (error.name or "").partition(".")[0]
    return next((_line(module, extra, "this") for extra, modules in BRINGS.items() if module in modules), None)


def _line(module: str, extra: str, what: str) -> str:
    return f"{what} needs {module}, which is not installed: pip install 'perceptogram-live[{extra}]'"


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
