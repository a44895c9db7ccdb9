"""The text of an EDF+ or BDF+ file: remarks with their times, and when each record begins."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from realtime.sources.readers.edf_header import Header, text

if TYPE_CHECKING:
    from numpy.typing import NDArray

ONSET = re.compile(rb"([+-]\d+(?:\.\d*)?)(?:\x15(\d+(?:\.\d*)?))?\x14")
"""Onset and, where there is one, duration, in seconds; the texts follow, each ended by a byte 20."""

Note = tuple[str, float, float]
"""Text, onset and duration in seconds."""


def read_annotations(records: NDArray[np.uint8], header: Header) -> tuple[list[Note], NDArray[np.float64], int]:
    """Return the remarks, ``[records]`` when each record begins, not a number where it is not told, and unread entries.

    Parameters
    ----------
    records
        ``[records, record_bytes]``.
    header
        The file's.
    """
    starts_s = np.full(len(records), np.nan)
    notes: list[Note] = []
    spoilt = 0
    signals = [signal for signal in header.signals if signal.is_annotations]
    for number, signal in enumerate(signals):
        ends = slice(signal.offset, signal.offset + header.width * signal.samples)
        for record, content in enumerate(records[:, ends]):
            for place, entry in enumerate(filter(None, content.tobytes().split(b"\0"))):
                found = ONSET.match(entry)
                if found is None:
                    spoilt += 1
                    continue
                onset_s, duration_s = float(found[1]), float(found[2] or 0)
                texts = entry[found.end() :].split(b"\x14")
                if number == 0 and place == 0 and not texts[0]:
                    starts_s[record] = onset_s
                notes += [(text(said).strip(), onset_s, duration_s) for said in texts if said]
    return [note for note in notes if note[0]], starts_s, spoilt
