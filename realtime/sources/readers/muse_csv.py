"""Recordings of muse-lsl: CSV with a column of timestamps, microvolts, and markers sample by sample."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from configs.files import read_text
from realtime.sources.base import Marker
from realtime.sources.marker_streams import plain, with_fields
from realtime.sources.metadata import Channel, SourceError, StreamDescription
from realtime.sources.readers.loaded import Loaded
from realtime.sources.selection import select
from stimuli.markers import read_marker

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from configs.schema import MarkerSettings, StreamSettings
    from realtime.sources.readers.loaded import Loader

STAMPS = "timestamps"
MOST_UNTITLED = 8
"""Columns without a title that may follow the others."""
SLOWEST_HZ = 1.0


def read_muse_csv(path: Path, markers: MarkerSettings) -> Loader:
    """Loader the recording in `path`; what is returned loads the channels that are wanted of it.

    The last columns, named ``Marker...``, hold 0 for no marker; a value that stays for several rows is one marker, at
    its first row. Of several that hold values, `markers` must name one, or all as fields. Rows that are too short lack
    the columns at their end: muse-lsl begins with the marker's where the first marker comes. The auxiliary input is
    not EEG and is loaded only where ``stream.channels`` names it.

    Parameters
    ----------
    path
        The CSV file.
    markers
        Which column holds the markers, where several could.

    Raises
    ------
    SourceError
        If the file is not muse-lsl's CSV, a cell is not a number, or it is open which column holds the markers.
    """
    names, table, notices = _table(path)
    timestamps = np.ascontiguousarray(table[:, 0])
    is_marker = [name.casefold().startswith("marker") for name in names]
    columns = [position for position in range(1, len(names)) if not is_marker[position]]
    rate_hz, unit_s, told = _nominal_rate(timestamps, path)
    timestamps *= unit_s
    kinds = ["AUX" if "aux" in names[position].casefold() else "EEG" for position in columns]
    channels = [Channel(names[position], kind, "microvolts") for position, kind in zip(columns, kinds, strict=True)]
    description = StreamDescription.of_file(path, rate_hz, channels)
    column, left_out = _marker_column(path, names, table, is_marker, markers)
    fields = {name: table[:, names.index(title)] for title, name in markers.fields.items()}
    found = () if column is None else tuple(_held_markers(timestamps, table[:, column], fields))

    def load(settings: StreamSettings) -> Loaded:
        selection = select(description, settings)
        with np.errstate(over="ignore"):  # what is too large becomes infinite, and spoils its epoch
            samples = table[:, np.array(columns)[selection.picks]].astype(np.float32)
        lines = (*notices, *told, *left_out)
        return Loaded(selection.spec, timestamps, lambda start, stop: samples[start:stop], found, lines)

    return load


def _table(path: Path) -> tuple[list[str], NDArray[np.float64], tuple[str, ...]]:
    """Return the columns' names, their values, NaN where there is none, and what people should know of it."""
    try:
        head, *lines = read_text(path, "recording", SourceError).split("\n")
    except OSError as error:
        msg = f"cannot read {path}: {error.strerror or error}"
        raise SourceError(msg) from error
    names = [name.strip() for name in head.split(",")]
    if len(names) < 2 or names[0] != STAMPS:
        msg = f"{path} is not a CSV of muse-lsl: its first column is {names[0][:40]!r}, expected {STAMPS!r}"
        raise SourceError(msg)
    while not names[-1]:
        names.pop()  # a spreadsheet ends every line with commas
    rows = [_cells(line, len(names)) for line in lines if line.strip()]
    widest = max(map(len, rows), default=0)
    if widest > len(names) + MOST_UNTITLED:
        msg = f"{path} has a row of {widest} values under {len(names)} titles"
        raise SourceError(msg)
    notices = []
    if widest > len(names):
        known = sum(name.casefold().startswith("marker") for name in names)
        untitled = [f"Marker{number}" for number in range(known, known + widest - len(names))]
        first = next(number for number, row in enumerate(rows, start=1) if len(row) == widest)
        late = f"; rows before {first} have no value there" if first > 1 else ""
        notices.append(f"what stands behind {names[-1]} has no title and is taken for {', '.join(untitled)}{late}")
        names += untitled
    n_eeg = len([name for name in names if not name.casefold().startswith("marker")])
    if len(rows) > 1 and len(rows[-1]) < len(rows[-2]):
        notices.append("the last row is cut off and left out")
        del rows[-1]
    short = next((number for number, row in enumerate(rows, start=1) if len(row) < n_eeg), None)
    if short is not None:
        msg = f"{path}: row {short} has {len(rows[short - 1])} values, at least {n_eeg} are needed"
        raise SourceError(msg)
    if len(rows) < 2:
        msg = f"{path} has {len(rows)} rows of samples; at least 2 are needed"
        raise SourceError(msg)
    try:
        table = np.array([[_number(cell) for cell in row] + [np.nan] * (len(names) - len(row)) for row in rows])
    except ValueError as error:
        msg = f"{path} is not a table of numbers: {error}"
        raise SourceError(msg) from error
    if not np.isfinite(table[:, 0]).all():
        row = int(np.flatnonzero(~np.isfinite(table[:, 0]))[0]) + 1
        msg = f"{path}: row {row} has no timestamp"
        raise SourceError(msg)
    return names, table, tuple(notices)


def _cells(line: str, titled: int) -> list[str]:
    """Return the cells of a row, without blank ones that have no title."""
    cells = line.split(",")
    while len(cells) > titled and not cells[-1].strip():
        cells.pop()
    return cells


def _marker_column(
    path: Path, names: list[str], table: NDArray[np.float64], is_marker: list[bool], settings: MarkerSettings
) -> tuple[int | None, tuple[str, ...]]:
    """Return which column holds the markers, and a line for those that are not read."""
    titles = [name for name, marks in zip(names, is_marker, strict=True) if marks]
    for wanted, setting in ((settings.channel, "column"), *((title, "fields") for title in settings.fields)):
        if wanted is not None and wanted not in titles:
            msg = f"{path} has no marker column {wanted!r}; it has {', '.join(titles) or 'none'}"
            raise SourceError(f"{msg}; correct markers.{setting}")
    marks = [position for position, marks in enumerate(is_marker) if marks]
    filled = [names[position] for position in marks if np.nan_to_num(table[:, position]).any()]
    others = [name for name in filled if name not in settings.fields and name != settings.channel]
    if settings.channel is not None:
        read = (settings.channel, *settings.fields)
        told = f"of the marker columns only {', '.join(read)} {'are' if len(read) > 1 else 'is'} read, not "
        return names.index(settings.channel), (told + ", ".join(others),) * bool(others)
    if len(others) > 1:
        listed = ", ".join(filled)
        msg = f"{path} has markers in {listed}, whose values may mean different things; name one in markers.column"
        raise SourceError(f"{msg}, or all in markers.fields")
    column = next(iter([*others, *settings.fields]), None)
    return (None if column is None else names.index(column)), ()


def _number(cell: str) -> float:
    return float(cell) if cell.strip() else float("nan")


def _nominal_rate(timestamps: NDArray[np.float64], path: Path) -> tuple[float, float, tuple[str, ...]]:
    """Return the rate in Hz from the median time of 2048 samples, and what a timestamp is in seconds.

    The rate is whole where it is within 1 % of that. Timestamps are milliseconds where the rate would be below 1 Hz,
    and a line says so: no headset is so slow.
    """
    span = min(2048, len(timestamps) - 1)  # long, since timestamps of Bluetooth packets come in steps
    taken_s = float(np.median(timestamps[span:] - timestamps[:-span]))
    if not taken_s > 0:
        msg = f"{path}: the timestamps do not advance (median of {taken_s:g} s for {span} samples)"
        raise SourceError(msg)
    rate, unit_s = span / taken_s, 1.0
    told: tuple[str, ...] = ()
    if rate < SLOWEST_HZ:
        rate, unit_s = 1e3 * rate, 1e-3
        told = (f"the timestamps advance by {taken_s / span:.3g} a sample and are taken for milliseconds",)
    return float(round(rate)) if abs(rate - round(rate)) <= 0.01 * rate else rate, unit_s, told


def _held_markers(
    timestamps: NDArray[np.float64], column: NDArray[np.float64], fields: dict[str, NDArray[np.float64]]
) -> list[Marker]:
    values = np.concatenate(([0.0], np.nan_to_num(column)))
    told = {name: np.nan_to_num(values) for name, values in fields.items()}
    return [
        with_fields(
            read_marker(float(value), float(timestamps[row])),
            {name: plain(float(each[row])) for name, each in told.items()},
        )
        for row, (before, value) in enumerate(pairwise(values))
        if value != 0 and value != before
    ]
