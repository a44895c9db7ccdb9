"""Recordings of muse-lsl: CSV with a column of stamps, microvolts, and markers sample by sample."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from realtime.sources.base import Marker
from realtime.sources.metadata import Channel, SourceError, StreamDescription, select
from realtime.sources.readers.loaded import Loaded
from stimuli.markers import read_marker

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from configs.schema import StreamSettings

STAMPS = "timestamps"


def read_muse_csv(path: Path, settings: StreamSettings) -> Loaded:
    """Return the recording in `path`.

    The last columns, named ``Marker...``, hold 0 for no marker; a value that stays for several rows is one marker, at
    its first row. The auxiliary input is not EEG and is read only where ``settings.channels`` names it.

    Raises
    ------
    SourceError
        If the file is not muse-lsl's CSV or a cell is not a number.
    """
    with path.open(encoding="utf-8-sig") as file:
        names = [name.strip() for name in file.readline().split(",")]
        if len(names) < 2 or names[0] != STAMPS:
            msg = f"{path} is not a CSV of muse-lsl: its first column is {names[0]!r}, expected {STAMPS!r}"
            raise SourceError(msg)
        try:
            table = np.loadtxt(file, delimiter=",", ndmin=2, converters=_number, encoding="utf-8")
        except ValueError as error:
            msg = f"{path} is not a table of numbers: {error}"
            raise SourceError(msg) from error
    if len(table) < 2 or table.shape[1] != len(names):
        msg = f"{path} has {len(table)} rows of {table.shape[-1]} columns; at least 2 rows of {len(names)} are needed"
        raise SourceError(msg)
    stamps = np.ascontiguousarray(table[:, 0])
    is_marker = [name.casefold().startswith("marker") for name in names]
    columns = [position for position in range(1, len(names)) if not is_marker[position]]
    description = StreamDescription(
        name=path.stem,
        type="EEG",
        source_id="",
        host="",
        uid="",
        rate_hz=_nominal_rate(stamps, path),
        format="double64",
        channels=tuple(
            Channel(names[position], "AUX" if "aux" in names[position].casefold() else "EEG", "microvolts")
            for position in columns
        ),
    )
    selection = select(description, settings)
    samples = table[:, np.array(columns)[selection.picks]].astype(np.float32)
    markers = [
        marker
        for position in range(len(names))
        if is_marker[position]
        for marker in _held_markers(stamps, table[:, position])
    ]
    markers.sort(key=lambda marker: marker.stamp)
    return Loaded(selection.spec, stamps, lambda start, stop: samples[start:stop], tuple(markers))


def _number(cell: str) -> float:
    return float(cell) if cell.strip() else float("nan")


def _nominal_rate(stamps: NDArray[np.float64], path: Path) -> float:
    """Return the rate in Hz from the median time of 2048 samples; whole where it is within 1 % of that."""
    span = min(2048, len(stamps) - 1)  # long, since stamps of Bluetooth packets come in steps
    taken_s = float(np.median(stamps[span:] - stamps[:-span]))
    if not taken_s > 0:
        msg = f"{path}: the stamps do not advance (median of {taken_s:g} s for {span} samples)"
        raise SourceError(msg)
    rate = span / taken_s
    return float(round(rate)) if abs(rate - round(rate)) <= 0.01 * rate else rate


def _held_markers(stamps: NDArray[np.float64], column: NDArray[np.float64]) -> list[Marker]:
    values = np.concatenate(([0.0], np.nan_to_num(column)))
    return [
        read_marker(float(value), float(stamps[row]))
        for row, (before, value) in enumerate(pairwise(values))
        if value != 0 and value != before
    ]
