"""Perceptogram Live: what a person sees, decoded from their EEG while they look, as a picture.

Importing it changes nothing in your process.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str
    from perceptogram.epochs import read_epochs
    from perceptogram.raw import read_raw
    from perceptogram.session import Session, choose_pictures, load_bundle, load_config, open_pictures

_HOUSE = Path(__file__).resolve().parent.parent


def _refuse_hidden_packages() -> None:
    """Refuse to start where a file of the user's hides one of our packages, whose names are plain words.

    In a wheel they lie in this one, where nothing can hide them (`setup.py`).
    """
    if (Path(__file__).parent / "realtime").is_dir():
        return
    for name in ("configs", "stimuli", "realtime", "calibration"):
        spec = find_spec(name)
        found = None if spec is None else spec.origin or next(iter(spec.submodule_search_locations or ()), None)
        if found is None or _HOUSE not in Path(found).resolve().parents:
            what = "is not installed" if found is None else f"is hidden by {found}: rename that file or folder"
            msg = f"perceptogram's own package {name!r} {what}"
            raise ImportError(msg)


_refuse_hidden_packages()

_FOUND_IN = {
    "Session": "session",
    "choose_pictures": "session",
    "load_bundle": "session",
    "load_config": "session",
    "open_pictures": "session",
    "read_epochs": "epochs",
    "read_raw": "raw",
}

__all__ = [
    "Session",
    "__version__",
    "choose_pictures",
    "load_bundle",
    "load_config",
    "open_pictures",
    "read_epochs",
    "read_raw",
]


def __getattr__(name: str) -> Any:
    """Import what scripts use when it is first asked for, so that ``perceptogram --help`` answers at once."""
    if name == "__version__":
        from configs.version import software_version

        return software_version()
    if name in _FOUND_IN:
        return getattr(import_module(f"perceptogram.{_FOUND_IN[name]}"), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
