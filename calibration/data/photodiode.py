"""When the light came, measured against when the markers say it did: by a photodiode in the EEG stream."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from calibration.errors import FitError
from configs.files import write_whole
from realtime.epoching.light import SPREAD_S, Light


@dataclass(frozen=True)
class Timing:
    """Light against markers.

    Attributes
    ----------
    channel, edge
        Where the light was seen, and whether it made the signal rise or fall.
    n_markers, n_matched
        Markers in the recording, and those with an edge at their place.
    offset_s
        Median time from a marker's timestamp to the light: the ``markers.offset_s`` to set.
    sd_s, p5_s, p95_s
        Standard deviation, and 5th and 95th percentile, of the same.
    rate_hz
        Rate of the stream; light is timed between samples by interpolation.
    """

    channel: str
    edge: str
    n_markers: int
    n_matched: int
    offset_s: float
    sd_s: float
    p5_s: float
    p95_s: float
    rate_hz: float

    @property
    def usable(self) -> bool:
        """Whether one offset brings the markers to their light."""
        return self.sd_s <= SPREAD_S


def timing_of(light: Light, rate_hz: float) -> Timing:
    """Return how light follows markers, in figures."""
    delays = light.delays
    p5, median, p95 = np.percentile(delays, [5, 50, 95])
    spread = float(delays.std(ddof=1))
    counts = (len(light.markers), len(delays))
    return Timing(light.channel, light.edge, *counts, float(median), spread, float(p5), float(p95), rate_hz)


def write_timing(timing: Timing, path: Path) -> None:
    """Write `timing` as JSON, whole or not at all."""
    write_whole(path, json.dumps(asdict(timing), indent=1, allow_nan=False) + "\n")


def read_timing(path: Path) -> Timing:
    """Return what `write_timing` wrote.

    Raises
    ------
    FitError
        If the file cannot be read or holds something else, or if the markers cannot be used.
    """
    from pydantic import TypeAdapter

    try:
        timing = TypeAdapter(Timing).validate_json(path.read_bytes())
    except OSError as error:
        msg = f"cannot read timing {path}: {error.strerror or error}; measure it with 'calibrate --check-timing'"
        raise FitError(msg) from error
    except ValueError as error:
        msg = f"{path} holds no timing; measure it with 'perceptogram calibrate --check-timing'"
        raise FitError(msg) from error
    if not timing.usable:
        msg = f"{path}: markers scatter by {1e3 * timing.sd_s:.0f} ms about their light: no offset mends that"
        raise FitError(msg)
    return timing
