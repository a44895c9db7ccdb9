"""A wide, fast stream from LSL to filtered samples: what is lost, what it costs, and up to which rate, beside peers.

Everybody filters alike (0.3 to 40 Hz, second order, causal); only ours also checks for lost samples. A receiver keeps
up when it loses nothing and its samples are less than `LATE_S` old; above that they only pile up in liblsl's buffer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import machine, percentiles, print_table, versions
from benchmarks.lsl_sender import CARRIED, Amplifier, pushed_at, sending
from benchmarks.receivers import PATIENCE_S, POLL_S, cpu_s
from configs.schema import Config, FilterSettings, StreamSettings
from realtime.epoching.pipeline import Pipeline
from realtime.sources.base import Chunk
from realtime.sources.lsl import LslSource

WIDE = Amplifier(channels=256, rate_hz=2000.0)
CHANNELS = (64, 256, 1024)
RATES_HZ = (1000.0, 2000.0, 4000.0, 8000.0, 16000.0, 32000.0)
BAND_HZ = (0.3, 40.0)
WARM_UP_S = 2.0
LATE_S = 0.25
Samples = NDArray[np.float32]
Reader = Callable[[Amplifier], Generator[Samples, None, None]]


def run(quick: bool = False) -> dict[str, Any]:
    """Measure 256 channels at 2 kHz for a minute (quick: ten seconds), then raise the rate until each falls behind."""
    rows = [_measure(_ours, WIDE, 10.0 if quick else 60.0)]
    rows.append(_measure(_ours, Amplifier(WIDE.channels, WIDE.rate_hz, 8), 5.0 if quick else 20.0))
    readers: dict[str, Reader] = {"ours": _ours, "mne-lsl StreamLSL": _mne_lsl, "pylsl loop": _pylsl}
    ladder = [
        rung for channels in (CHANNELS[:1] if quick else CHANNELS) for rung in _climb(readers, channels, quick=quick)
    ]
    headline = rows[0]
    result = {
        "lost": headline["lost"],
        "core_fraction": headline["core_fraction"],
        "push_to_chunk_p50_ms": headline["push_to_chunk_ms"]["p50"],
        "channels": WIDE.channels,
        "rate_hz": WIDE.rate_hz,
        "seconds": headline["seconds"],
        "versions": versions("pylsl", "mne-lsl", "scipy", "numpy"),
        "machine": machine(),
        "rows": rows,
        "ladder": ladder,
    }
    _print(result, tuple(readers))
    return result


def _climb(readers: dict[str, Reader], channels: int, *, quick: bool) -> list[dict[str, Any]]:
    """Raise the rate, all readers in turns at each, until each has failed once."""
    rungs, climbing = [], dict(readers)
    for rate in RATES_HZ[:2] if quick else RATES_HZ:
        for name, reader in list(climbing.items()):
            row = _measure(reader, Amplifier(channels, rate, max(1, round(rate / 1000))), 1.0 if quick else 4.0)
            row |= {"reader": name, "channels": channels, "rate_hz": rate}
            rungs.append(row)
            if not row["keeps_up"]:
                del climbing[name]
    return rungs


def _measure(reader: Reader, amplifier: Amplifier, seconds: float) -> dict[str, Any]:
    import pylsl

    delays_s: list[NDArray[np.float64]] = []
    numbers: list[Samples] = []
    with sending(amplifier) as sent:
        came = reader(sent)
        begun, used = None, 0.0
        deadline = time.monotonic() + PATIENCE_S + seconds
        first = 0.0
        for samples in came:
            now, clock = time.monotonic(), pylsl.local_clock()
            first = first or now
            if begun is None and now - first >= WARM_UP_S:
                begun, used = now, cpu_s(sent.pid)
            elif begun is not None:
                delays_s.append(clock - pushed_at(samples))
                numbers.append(samples[:, 0].copy())
                if now - begun >= seconds:
                    break
            if now > deadline:
                break
        took_s = time.monotonic() - (begun or first)
        share = (cpu_s(sent.pid) - used) / took_s
        came.close()
    number = np.concatenate(numbers).astype(np.int64)
    delay = np.concatenate(delays_s)
    lost = int((np.diff(number) - 1).clip(0).sum())
    sent_hz = (number[-1] - number[0]) / took_s
    newest_s = float(np.median(delay[-len(delay) // 4 :]))
    return {
        "samples_a_push": amplifier.samples_a_push,
        "seconds": seconds,
        "samples": len(number),
        "lost": lost,
        "core_fraction": round(share, 3),
        "push_to_chunk_ms": percentiles(delay * 1e3),
        "sent_share": round(float(sent_hz / amplifier.rate_hz), 3),
        "keeps_up": lost == 0 and newest_s < LATE_S,
    }


def _ours(amplifier: Amplifier) -> Generator[Samples, None, None]:
    settings = StreamSettings(source_id=amplifier.tag, timeout_s=PATIENCE_S)
    down = 250.0 if amplifier.rate_hz > 250 else None
    config = Config(
        stream=settings, filters=FilterSettings(highpass_hz=BAND_HZ[0], lowpass_hz=BAND_HZ[1], rate_hz=down)
    )
    source = LslSource(config.stream)
    try:
        pipeline = Pipeline(config, source.spec)
        for event in source.events():
            if isinstance(event, Chunk):
                yield event.samples
                for _ in pipeline.push(event):
                    pass
    finally:
        source.close()


def _mne_lsl(amplifier: Amplifier) -> Generator[Samples, None, None]:
    from mne_lsl import set_log_level
    from mne_lsl.stream import StreamLSL

    set_log_level("ERROR")
    stream = StreamLSL(bufsize=2.0, name=amplifier.tag)
    stream.connect(acquisition_delay=POLL_S, processing_flags=["clocksync"], timeout=PATIENCE_S)
    carrier, last = list(range(CARRIED)), 0.0
    stream.filter(*BAND_HZ, picks=list(amplifier.spec.channels[CARRIED:]), iir_params={"order": 2, "ftype": "butter"})
    try:
        while True:
            if stream.n_new_samples == 0:
                time.sleep(POLL_S)
                continue
            # More than is new: samples that come between the two calls would push out the oldest.
            data, timestamps = stream.get_data(min(2.0, 0.05 + stream.n_new_samples / amplifier.rate_hz))
            fresh = timestamps > last
            last = timestamps[-1]
            yield data[carrier][:, fresh].T
    finally:
        stream.disconnect()


def _pylsl(amplifier: Amplifier) -> Generator[Samples, None, None]:
    import pylsl
    from scipy.signal import butter, sosfilt

    found = pylsl.resolve_byprop("source_id", amplifier.tag, timeout=PATIENCE_S)
    inlet = pylsl.StreamInlet(found[0], processing_flags=pylsl.proc_clocksync)
    sos = butter(2, BAND_HZ, "bandpass", fs=amplifier.rate_hz, output="sos").astype(np.float32)
    state = np.zeros((len(sos), 2, amplifier.channels - CARRIED), np.float32)
    while True:
        chunk, timestamps = inlet.pull_chunk(timeout=0.0, max_samples=4096)
        if not timestamps:
            time.sleep(POLL_S)
            continue
        samples = np.asarray(chunk, np.float32)
        _, state = sosfilt(sos, samples[:, CARRIED:], axis=0, zi=state)
        yield samples[:, :CARRIED]


def _print(result: dict[str, Any], readers: tuple[str, ...]) -> None:
    print_table(
        f"LSL push → session, {WIDE.channels} channels at {WIDE.rate_hz:g} Hz, source + time axis + filters",
        ("samples a push", "samples", "lost", "core", "push → chunk p50 ms", "p95", "p99", "max"),
        [
            (
                row["samples_a_push"],
                row["samples"],
                row["lost"],
                row["core_fraction"],
                *(row["push_to_chunk_ms"][key] for key in ("p50", "p95", "p99", "max")),
            )
            for row in result["rows"]
        ],
    )
    rungs: dict[tuple[int, float], dict[str, str]] = {}
    for row in result["ladder"]:
        if row["keeps_up"]:
            delay = row["push_to_chunk_ms"]
            said = f"{delay['p50']:.1f} / {delay['p99']:.1f}, {row['core_fraction']:.2f}"
        elif row["lost"]:
            said = f"lost {row['lost']}"
        else:
            said = f"falls behind ({row['push_to_chunk_ms']['max'] / 1e3:.1f} s)"
        if row["sent_share"] < 0.95 and row["keeps_up"]:
            said += f"; sender reached {row['sent_share']:.0%}"
        rungs.setdefault((row["channels"], row["rate_hz"]), {})[row["reader"]] = said
    about = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    print_table(
        "channels × rate, pushed every millisecond, until one loses samples or falls behind: "
        f"push → filtered chunk p50 / p99 ms, cores; {about}",
        ("channels × rate", *readers),
        [(f"{c} × {r:g} Hz", *(said.get(name, "gave up below") for name in readers)) for (c, r), said in rungs.items()],
    )


if __name__ == "__main__":
    run()
