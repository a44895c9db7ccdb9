"""Which version of this package runs."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def software_version() -> str:
    """Return the version of this package, as bundles tell it, and workers and sessions compare it."""
    try:
        return version("perceptogram-live")
    except PackageNotFoundError:
        return "0+unknown"
