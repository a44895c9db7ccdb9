"""``perceptogram replay``: a recording through the live path."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from configs.errors import InputError
from perceptogram.console import console, number, print_notices, print_rows, progress_bar, write_json

if TYPE_CHECKING:
    from configs.schema import Config
    from realtime.decoding.bundle import Bundle
    from realtime.session import Session, SessionEvent
    from realtime.sources.base import Source


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""

    @app.command()
    def replay(
        recording: Path = typer.Argument(..., help="XDF, muse-lsl CSV, FIF, BrainVision, EDF, BDF or EEGLAB."),
        out: Path = typer.Option(..., help="Folder for percepts, pictures and summary.json."),
        overwrite: bool = typer.Option(
            False, "--overwrite", help="Replace what an earlier replay left in that folder."
        ),
        bundle: Path | None = typer.Option(None, help="Calibration bundle; without it, events and holes are counted."),
        config: str | None = typer.Option(None, help="YAML file or preset; the defaults when left out."),
        speed: str = typer.Option("max", help="1 for real time, any factor, or 'max' for as fast as it is read."),
        lsl: bool = typer.Option(False, "--lsl", help="Publish it as live LSL streams and read those."),
        render: bool = typer.Option(True, help="Paint pictures."),
        unit: str | None = typer.Option(
            None,
            help="Unit of the samples where the recording does not tell it: microvolts, millivolts, volts, nanovolts.",
        ),
    ) -> None:
        """Decode a recording as if it were live.

        Example: perceptogram replay run4.csv --bundle bundle --config muse_n170 --out replayed
        """
        from configs.output_folder import check
        from configs.schema import Config, load_config
        from realtime.decoding.bundle import load_bundle

        check(out, "replay", overwrite=overwrite)
        settings = load_config(config) if config is not None else Config()
        if unit is not None:
            settings = _with_unit(settings, unit)
        factor = _speed(speed, lsl)
        calibration = load_bundle(bundle) if bundle is not None else None
        if calibration is not None:
            calibration.check_runs()
            # What was fitted is what runs: the labels' meaning is the bundle's.
            markers = settings.markers.model_copy(update={"classes": calibration.classes})
            settings = settings.model_copy(update={"markers": markers})
        if calibration is None:
            summary = _count(recording, settings if config is not None else _unfiltered(settings), factor)
            _make_room(out)
        elif lsl:
            summary = _replay_lsl(recording, settings, calibration, factor or 1.0, out, render)
        else:
            from realtime.epoching.light import open_by_light

            source = open_by_light(recording, settings, factor)
            print_notices(source.notices)
            summary = _decode(source, settings, calibration, out, render, live=False)
            print_notices(summary["notices"])
            summary = summary | {"notices": [*source.notices, *summary["notices"]]}
        write_json(out / "summary.json", summary | {"recording": recording.name, "lsl": lsl})
        print_rows(f"replay of {recording.name}", summary_rows(summary))
        console.print(f"written to {out}")


def _make_room(out: Path) -> None:
    """Make `out` ready to be written to, now that the recording is known to be readable; it was checked before."""
    from configs.output_folder import claim
    from perceptogram.live.folder import FILES

    claim(out, "replay", FILES, overwrite=True)


def _unfiltered(config: Config) -> Config:
    """Return `config` without filters: events and holes are the same, and any sampling rate will do."""
    filters = config.filters.model_copy(update={"highpass_hz": None, "lowpass_hz": None, "notch_hz": None})
    return config.model_copy(update={"filters": filters})


def _with_unit(config: Config, unit: str) -> Config:
    """Return `config` with `unit` as the unit of the samples."""
    from realtime.sources.selection import EXPONENTS, unit_name

    known = unit_name(unit)
    if known is None:
        msg = f"--unit {unit}: give one of {', '.join(EXPONENTS)}"
        raise InputError(msg)
    return config.model_copy(update={"stream": config.stream.model_copy(update={"unit": known})})


def _speed(speed: str, lsl: bool) -> float | None:
    if speed == "max":
        return None
    try:
        factor = float(speed)
    except ValueError:
        factor = -1.0
    if factor <= 0:
        msg = f"--speed {speed}: give a number above 0, or 'max'"
        raise InputError(msg)
    if lsl and factor != 1.0:
        msg = f"--speed {speed} does not go with --lsl: a live stream's timestamps and clock must run at the same rate"
        raise InputError(msg)
    return factor


def _count(recording: Path, config: Config, speed: float | None) -> dict[str, Any]:
    """Return what is in a recording: events by kind, and what is wrong with its time axis."""
    from realtime.epoching.epochs import Refused
    from realtime.epoching.light import open_by_light
    from realtime.epoching.pipeline import Pipeline
    from realtime.sources.base import Marker, Notice
    from realtime.timeline.sample_grid import Hole, Recount

    def tells(notice: Notice) -> bool:
        return notice.kind != "markers" or bool(config.markers.classes)  # the kinds of event are listed anyway

    source = open_by_light(recording, config, speed)
    print_notices(source.notices)
    pipeline = Pipeline(config, source.spec)
    kinds: Counter[str] = Counter()
    found: list[Any] = []
    for item in source.events():
        if isinstance(item, Marker):
            kinds[item.kind] += 1
        found += pipeline.push(item)
    found += pipeline.finish()
    told = [event.text for event in found if isinstance(event, Notice) and tells(event)]
    print_notices(told)
    holes = [{"stamp": hole.timestamp, "lost": hole.lost} for hole in found if isinstance(hole, Hole)]
    return {
        "stream": source.spec.name,
        "channels": len(source.spec.channels),
        "rate_hz": source.spec.rate_hz,
        "n_samples": source.n_samples,
        "n_events": dict(kinds),
        "refused": sum(isinstance(event, Refused) for event in found),
        "lost_samples": sum(event.lost for event in found if isinstance(event, Hole | Recount)),
        "holes": holes,
        "notices": [*source.notices, *told],
    }


def _replay_lsl(
    recording: Path, config: Config, bundle: Bundle, speed: float, out: Path, render: bool
) -> dict[str, Any]:
    """Publish `recording` from a process of its own and decode the streams as they come."""
    from realtime.sources.lsl import LslSource
    from realtime.sources.publish import Publisher
    from realtime.sources.recording import open_recording

    opened = open_recording(recording, config)
    print_notices(opened.notices)
    publisher = Publisher(recording, config, speed)
    try:
        streams = publisher.start()
        stream = config.stream.model_copy(
            update={"name": streams.name, "source_id": streams.source_id, "host": None, "unit": "microvolts"}
        )
        markers = config.markers.model_copy(
            update={"name": streams.markers_name, "source_id": streams.markers_source_id, "type": "Markers"}
            | {"channel": None, "fields": {}}
        )
        live = config.model_copy(update={"stream": stream, "markers": markers})
        source = LslSource(stream, markers)
        summary = _decode(
            source,
            live,
            bundle,
            out,
            render,
            live=True,
            begin=lambda _session: publisher.play(),
            ended=lambda: publisher.wait(0.0) is not None,
            duration_s=opened.duration_s,
        )
        print_notices(summary["notices"])
        return summary | {"notices": [*opened.notices, *summary["notices"]]}
    finally:
        publisher.stop()


def _decode(
    source: Source,
    config: Config,
    bundle: Bundle,
    out: Path,
    render: bool,
    *,
    live: bool,
    begin: Callable[[Session], None] | None = None,
    ended: Callable[[], bool] | None = None,
    duration_s: float | None = None,
) -> dict[str, Any]:
    from perceptogram.live.run import decode
    from realtime.session import Tick

    _make_room(out)
    with progress_bar() as progress:
        task = progress.add_task("decoding", total=duration_s or getattr(source, "duration_s", 1.0))
        start: list[float] = []

        def tell(event: SessionEvent) -> None:
            if isinstance(event, Tick):
                start[:] = start or [event.timestamp]
                progress.update(task, completed=event.timestamp - start[0])

        finished = decode(
            source,
            config,
            bundle,
            out,
            render=render,
            live=live,
            begin=begin,
            ended=ended,
            observe=[tell],
            exclusive=True,
        )
        return finished.summary


def summary_rows(summary: dict[str, Any]) -> dict[str, str]:
    """Return a session's or recording's summary for people."""
    if "n_events" in summary:
        kinds = ", ".join(f"{kind}: {count}" for kind, count in summary["n_events"].items()) or "none"
        return {
            "stream": f"{summary['stream']}, {summary['channels']} channels, {summary['rate_hz']:g} Hz",
            "events": kinds,
            "epochs refused": str(summary["refused"]),
            "samples lost": f"{summary['lost_samples']} in {len(summary['holes'])} holes",
        }
    reasons = "".join(f"; {count} {reason}" for reason, count in summary["refused_reasons"].items())
    rows = {"trials decoded": str(summary["n_trials"]), "refused": f"{summary['refused']}{reasons}"}
    if "auc" in summary:
        first, second, *more = summary["classes"]
        what = f"{len(more) + 2} classes, mean of all pairs" if more else f"{second} against {first}"
        rows[f"{what}, single trials"] = f"AUC {number(summary['auc'])} (chance 0.50, p {number(summary['auc_p'], 4)})"
        rows["the same before the picture"] = f"AUC {number(summary['baseline_auc'])}"
    elif "two_way" in summary:
        rows["two-way identification"] = f"{number(summary['two_way'])} (chance 0.50)"
    else:
        rows["score"] = "n/a, fewer than two kinds of picture were decoded"
    micro = summary["latency_us"]["last_sample_to_embedding"]
    if micro:
        rows["last sample to embedding"] = f"{micro['p50']:.0f} µs (p99 {micro['p99']:.0f})"
    return rows
