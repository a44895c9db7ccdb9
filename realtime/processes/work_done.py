"""Whether a process gets on: it computes, reads or writes, itself or by processes that it started."""

from __future__ import annotations

import os
from pathlib import Path

BUSY = 0.02
"""Share of one core, over the time between two looks, that counts as computing."""
BYTES = 1 << 16
"""Bytes read or written, between two looks, that count as work."""


class WorkDone:
    """Looks at what this process and its descendants have done since the last look."""

    def __init__(self) -> None:
        self._cpu_s, self._bytes, self._at_s = *_work(), os.times().elapsed

    def grew(self) -> bool:
        """Return whether anything worth mentioning was done since the last call."""
        (cpu_s, size), at_s = _work(), os.times().elapsed
        busy = cpu_s - self._cpu_s > BUSY * (at_s - self._at_s)
        moved = size - self._bytes > BYTES
        self._cpu_s, self._bytes, self._at_s = cpu_s, size, at_s
        return busy or moved


def _work() -> tuple[float, int]:
    """Return processor time in seconds and bytes moved so far; a child that ends takes its own with it."""
    times = os.times()
    cpu_s = times.user + times.system + times.children_user + times.children_system
    size = 0
    tick_s = 1 / os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 0.01
    for number, process in enumerate(_family(Path("/proc/self"))):
        try:
            if number:
                fields = (process / "stat").read_text().rpartition(")")[2].split()
                cpu_s += (int(fields[11]) + int(fields[12])) * tick_s
            moved = dict(line.split(": ") for line in (process / "io").read_text().splitlines())
        except (OSError, ValueError):  # it has ended, or the system tells no such thing
            continue
        size += sum(int(moved.get(key, 0)) for key in ("rchar", "wchar", "read_bytes"))
    return cpu_s, size


def _family(process: Path) -> list[Path]:
    """Return a process and all that it started, itself first; nothing where the system has no ``/proc``."""
    found = [process]
    for one in found:
        try:
            children = [(thread / "children").read_text().split() for thread in (one / "task").iterdir()]
        except OSError:
            continue
        found += [Path("/proc") / child for group in children for child in group]
    return found
