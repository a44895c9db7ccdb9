"""Reading a recording for a fit: the trials and their pre-stimulus windows in one pass, beside one pass for each."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import interleaved, machine, median_interval, paired_ratio, print_table
from calibration.data.reading import read_trials, read_windows
from configs.schema import Config, MarkerSettings, WindowSettings
from realtime.recording.xdf_writer import XdfWriter

RATE_HZ = 500.0
CHANNELS = 64
EVERY_S = 0.5
CONFIG = Config(
    markers=MarkerSettings(classes={"a": "a", "b": "b"}), window=WindowSettings(stop_s=0.8, baseline_s=(-0.2, 0.0))
)
BEFORE, NOW = "a pass for each", "one pass"


def run(quick: bool = False) -> dict[str, Any]:
    """Read a simulated recording (noise with markers) both ways in turn; the ratio is of the same rounds."""
    seconds, rounds = (60.0, 3) if quick else (480.0, 9)
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "simulated.xdf"
        _write(file, seconds)
        n_trials = len(read_trials([file], CONFIG))
        moved = CONFIG.model_copy(update={"window": CONFIG.window.pre_stimulus(RATE_HZ)})
        ways: dict[str, Callable[[], object]] = {
            BEFORE: lambda: (read_trials([file], CONFIG), read_trials([file], moved)),
            NOW: lambda: read_windows([file], CONFIG),
        }
        times = interleaved(ways, rounds)
    taken_s = {name: median_interval(value / 1e6 for value in values) for name, values in times.items()}
    ratio = paired_ratio(times[BEFORE], times[NOW])
    print_table(
        f"reading {seconds:.0f} s of {CHANNELS} channels at {RATE_HZ:g} Hz, {n_trials} trials (simulated noise); "
        f"one pass takes {ratio[0]:.2f} of the time ({ratio[1]:.2f} to {ratio[2]:.2f})",
        ("", "s", "95 % interval"),
        [(name, f"{mid:.2f}", f"{low:.2f} to {high:.2f}") for name, (mid, low, high) in taken_s.items()],
    )
    return {
        "recording_s": seconds,
        "n_trials": n_trials,
        "seconds": {name: list(value) for name, value in taken_s.items()},
        "ratio": list(ratio),
        "rounds": rounds,
        "machine": machine(),
    }


def _write(path: Path, seconds: float) -> None:
    rng = np.random.default_rng(0)
    n = round(seconds * RATE_HZ)
    timestamps = 1000 + np.arange(n) / RATE_HZ
    samples = 10 * rng.standard_normal((n, CHANNELS)).astype(np.float32)
    labels = "".join(f"<channel><label>E{k}</label><unit>microvolts</unit></channel>" for k in range(CHANNELS))
    writer = XdfWriter(path)
    writer.stream_header(
        1,
        f"<info><name>cap</name><type>EEG</type><channel_count>{CHANNELS}</channel_count>"
        f"<nominal_srate>{RATE_HZ:g}</nominal_srate><channel_format>float32</channel_format>"
        f"<source_id>cap</source_id><desc><channels>{labels}</channels></desc></info>",
    )
    writer.stream_header(
        2,
        "<info><name>shown</name><type>Markers</type><channel_count>1</channel_count>"
        "<nominal_srate>0</nominal_srate><channel_format>string</channel_format></info>",
    )
    for stream in (1, 2):
        writer.clock_offset(stream, timestamps[0], 0.0)
    writer.numbers(1, timestamps, samples)
    shown = np.arange(timestamps[0] + 10, timestamps[-1] - 2, EVERY_S)
    writer.texts(2, shown.tolist(), [["ab"[place % 2]] for place in range(len(shown))])
    writer.close()
