"""What MNE says of a file, in words for people who do not program."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable

logger = logging.getLogger(__name__)

KNOWN = (
    (r"Omitted (\d+) annotation", r"\1 annotations lie outside the recording and were left out"),
    (r"Limited (\d+) annotation", r"\1 annotations reach beyond the recording and were cut"),
    (r"(\d+) events have an onset that is NaN", r"\1 events have no time and were left out"),
    (r"(\d+) samples set to zero", r"\1 samples cannot be read"),
    (r"Split raw file detected.*?(\S+\.fif(?:\.gz)?)", r"the next part of the recording is missing: \1"),
    (r"MarkerFile '([^']+)' not found", r"its marker file \1 is missing"),
    (
        r"No coordinate information found for channels \[(.*?)\]",
        r"without a place on the head, so taken for no EEG: \1",
    ),
    (r"Unknown types found, setting as type EEG: (.+)", r"of a type that is not known, taken for EEG: \1"),
)
"""What matters of MNE's warnings, and how it is told; the rest is about what is not used here, or handled."""
TOLD = (OSError, ValueError, RuntimeError)
"""Errors whose text is about the file; that of others is about the program."""
PYTHON = re.compile(r"\s*(?:[.;:,(]|and)?\s*(?:[Pp]lease|[Uu]se |[Cc]onsider|[Cc]heck|Pass |Contact|See |`).*")


def as_notices(warnings: Iterable[str]) -> list[str]:
    """Return one line for each kind of warning that matters."""
    lines: dict[str, None] = {}
    for warning in warnings:
        flat = " ".join(warning.split())
        for pattern, line in KNOWN:
            if found := re.search(pattern, flat):
                lines[found.expand(line).replace("'", "")] = None
                break
        else:
            logger.info("MNE: %s", flat)
    return list(lines)


def why(error: Exception) -> str:
    """Return in one line why a file could not be read, without advice for programmers."""
    flat = " ".join(str(error).split())
    if found := re.search(r"number of trials is (\d+)", flat):
        return f"it holds {found[1]} epochs; give the continuous recording that they were cut from"
    if "synchronously open file" in flat:
        return "its HDF5 content is damaged or incomplete"
    told = PYTHON.sub("", flat)[:200].rstrip(" .:") if isinstance(error, TOLD) else ""
    return told or f"damaged or incomplete ({type(error).__name__})"
