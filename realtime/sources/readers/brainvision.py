"""What MNE does not tell of a BrainVision recording: units as they are written, and where and how long it paused."""

from __future__ import annotations

import re
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from realtime.sources.readers.edf_header import text

MARKER_FILE = re.compile(r"^MarkerFile\s*=\s*(.+?)\s*$", re.MULTILINE)
SEGMENT = re.compile(r"^Mk\d+=New Segment,[^,\r\n]*,(\d+)[^\r\n]*?(?:,(\d{20}))?\s*$", re.MULTILINE)
CHANNEL = re.compile(r"^Ch(\d+)=[^,\r\n]*,[^,\r\n]*,[^,\r\n]*,([^,\r\n]*)", re.MULTILINE)


def channel_units(header: Path, n_channels: int) -> list[str]:
    """Return the unit of each channel as written; microvolts where there is none, as the format has it."""
    found = {int(number): unit.strip() for number, unit in CHANNEL.findall(text(header.read_bytes()))}
    return [found.get(number) or "µV" for number in range(1, n_channels + 1)]


def new_segments(header: Path, rate_hz: float) -> list[tuple[int, float | None]]:
    """Return the first row of each segment but the first, and the seconds before it that were not recorded.

    Each segment tells when it began; where one does not, or the times run back, the seconds are None.
    """
    named = MARKER_FILE.search(text(header.read_bytes()))
    if named is None:
        return []
    file = header.with_name(named[1].replace("$b", header.stem))
    if not file.is_file():
        return []
    found = [(int(row) - 1, _time(date)) for row, date in SEGMENT.findall(text(file.read_bytes()))]
    segments: list[tuple[int, float | None]] = []
    for (before, begun), (row, resumed) in pairwise(found):
        gap_s = None
        if begun is not None and resumed is not None:
            gap_s = (resumed - begun).total_seconds() - (row - before) / rate_hz
        segments.append((row, gap_s if gap_s is not None and gap_s > 0.5 / rate_hz else None))
    return segments


def _time(date: str) -> datetime | None:
    try:
        return datetime.strptime(date, "%Y%m%d%H%M%S%f")
    except ValueError:
        return None
