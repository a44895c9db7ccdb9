"""The header of an EDF or BDF file: what it promises, checked against the size of the file before anything is read.

Kemp et al. 1992, Electroencephalography and Clinical Neurophysiology 82, 391-393; Kemp and Olivan 2003, Clinical
Neurophysiology 114, 1755-1761; BioSemi's 24-bit variant.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import BinaryIO

FIXED = 256
"""Bytes of the header before those of the signals, and of each signal's."""
MOST_SIGNALS = 10_000
FASTEST_HZ = 1e6
FIELDS = (
    ("label", 16),
    ("transducer", 80),
    ("unit", 8),
    ("physical minimum", 8),
    ("physical maximum", 8),
    ("digital minimum", 8),
    ("digital maximum", 8),
    ("prefilter", 80),
    ("samples", 8),
    ("reserved", 32),
)


@dataclass(frozen=True)
class Signal:
    """One signal as the header describes it.

    Attributes
    ----------
    label, unit
        As written, without the blanks around them.
    offset, samples
        First byte in a record, and samples in a record.
    physical, digital
        Smallest and largest value in `unit` and as stored.
    """

    label: str
    unit: str
    offset: int
    samples: int
    physical: tuple[float, float]
    digital: tuple[float, float]

    @property
    def is_annotations(self) -> bool:
        """Whether it holds text in place of samples."""
        return self.label.casefold() in ("edf annotations", "bdf annotations")


@dataclass(frozen=True)
class Header:
    """What a file says of itself, as far as its size bears it out.

    Attributes
    ----------
    start
        First byte of the first record.
    width
        Bytes of a sample: 2 in EDF, 3 in BDF.
    interrupted
        Whether there may be time between one record and the next (EDF+D, BDF+D).
    records, record_s, record_bytes
        How many whole records there are, the time that each covers, and its size.
    promised
        Records by the header; negative where the recorder was not stopped properly.
    signals
        In the order of the file.
    """

    start: int
    width: int
    interrupted: bool
    records: int
    record_s: float
    record_bytes: int
    promised: int
    signals: tuple[Signal, ...]

    def rate_hz(self, signal: Signal) -> float:
        """Return the sampling rate of `signal`."""
        return signal.samples / self.record_s


def read_header(file: BinaryIO, size: int) -> Header:
    """Return the header at the start of `file`, which is `size` bytes long.

    Raises
    ------
    ValueError
        If it is no such header, or promises what cannot be in a file of that size.
    """
    fixed = file.read(FIXED)
    width = 3 if fixed[:8] == b"\xffBIOSEMI" else 2
    if len(fixed) < FIXED or (width == 2 and fixed[:8].strip() != b"0"):
        msg = "it does not begin as EDF or BDF does"
        raise ValueError(msg)
    count = _whole(fixed[252:256], "number of signals")
    if not 0 < count <= MOST_SIGNALS or FIXED * (1 + count) > size:
        msg = f"its header promises {count} signals, too many for a file of {size} bytes"
        raise ValueError(msg)
    described = file.read(FIXED * count)
    columns: dict[str, list[bytes]] = {}
    at = 0
    for name, length in FIELDS:
        columns[name] = [described[at + i * length : at + (i + 1) * length] for i in range(count)]
        at += count * length
    signals: list[Signal] = []
    offset = 0
    for i in range(count):
        samples = _whole(columns["samples"][i], "number of samples")
        if not 0 <= samples <= size:
            msg = f"its header promises {samples} samples in a record, too many for a file of {size} bytes"
            raise ValueError(msg)
        signals.append(
            Signal(
                label=text(columns["label"][i]).strip(),
                unit=text(columns["unit"][i]).strip(),
                offset=offset,
                samples=samples,
                physical=(_number(columns["physical minimum"][i]), _number(columns["physical maximum"][i])),
                digital=(_number(columns["digital minimum"][i]), _number(columns["digital maximum"][i])),
            )
        )
        offset += width * samples
    record_s = _number(fixed[244:252])
    start = FIXED * (1 + count)
    records = (size - start) // offset if offset else 0
    if not max(signal.samples for signal in signals) / FASTEST_HZ < record_s < math.inf or not records:
        msg = f"it holds {records} whole records of {record_s:g} s, so no samples"
        raise ValueError(msg)
    return Header(
        start=start,
        width=width,
        interrupted=text(fixed[192:236]).strip()[:5] in ("EDF+D", "BDF+D"),
        records=records,
        record_s=record_s,
        record_bytes=offset,
        promised=_whole(fixed[236:244], "number of records"),
        signals=tuple(signals),
    )


def text(content: bytes) -> str:
    """Return `content` as text, whatever its encoding: UTF-8 where it is that, else Latin-1, which any bytes are."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _whole(content: bytes, what: str) -> int:
    number = _number(content)
    if not math.isfinite(number) or number != round(number):
        msg = f"its {what} is {text(content).strip()!r}, which is no whole number"
        raise ValueError(msg)
    return round(number)


def _number(content: bytes) -> float:
    """Return the number that `content` spells; not a number where it spells none. Some programs write commas."""
    try:
        return float(text(content).strip(" \0").replace(",", "."))
    except ValueError:
        return math.nan
