"""``perceptogram run``: decode a live stream."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from perceptogram.commands.replay import summary_rows
from perceptogram.console import console, errors, number, print_rows, styled

if TYPE_CHECKING:
    from realtime.decoding.bundle import Bundle
    from realtime.session import Session, SessionEvent


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""

    @app.command()
    def run(
        config: str = typer.Option(..., help="YAML file or preset: which streams, which pictures."),
        bundle: Path = typer.Option(..., help="Calibration bundle, made by 'perceptogram fit'."),
        out: Path = typer.Option(..., help="Folder for percepts, pictures, recording and summary.json."),
        overwrite: bool = typer.Option(False, "--overwrite", help="Replace what an earlier run left in that folder."),
        headless: bool = typer.Option(False, "--headless", help="Open no window."),
        render: bool = typer.Option(True, help="Paint pictures."),
        record: bool = typer.Option(True, help="Record the streams to recording.xdf."),
        mqtt: str | None = typer.Option(None, help="Broker through which other programs listen and steer."),
        web: bool = typer.Option(False, "--web", help="Serve a page on which browsers watch and steer."),
        show_pictures: bool = typer.Option(
            False, "--show-pictures", help="Open a stimulus window that shows what other programs ask for."
        ),
        seconds: float | None = typer.Option(None, min=0.1, help="Stop after decoding this long; else on Ctrl-C."),
    ) -> None:
        """Decode a live EEG stream and show what is seen.

        Example: perceptogram run --config lab.yaml --bundle bundle --out session1
        """
        import math
        import time

        from configs.output_folder import check, claim
        from configs.schema import load_config, with_broker, with_page
        from perceptogram.live.folder import FILES
        from perceptogram.live.run import decode
        from perceptogram.live.streams import RECORDINGS, LiveStreams
        from realtime.decoding.bundle import load_bundle
        from realtime.processes.signals import ended_by_signals

        check(out, "run", overwrite=overwrite)
        settings, calibration = load_config(config), load_bundle(bundle)
        calibration.check_runs()
        console.print(expected(calibration))
        if mqtt is not None:
            settings = with_broker(settings, mqtt)
        if web:
            settings = with_page(settings)
        claim(out, "run", (*FILES, RECORDINGS), overwrite=overwrite)
        begun, stop_at = False, math.inf

        def begin(_session: Session) -> None:
            nonlocal begun, stop_at
            begun, stop_at = True, math.inf if seconds is None else time.monotonic() + seconds
            console.print(styled("decoding ", (source.spec.name, "bold"), "; Ctrl-C stops"))

        with LiveStreams(
            settings, calibration, out if record else None, show_pictures=show_pictures, headless=headless
        ) as streams:
            source = streams.source
            channels = f", {len(source.spec.channels)} channels; getting ready"

            def end() -> None:
                if not begun:
                    errors.print("still starting: it ends when all is ready; another Ctrl-C breaks off at once")
                source.close()

            # The first Ctrl-C ends the stream, so that everything is written; a second one breaks off.
            with ended_by_signals(end):
                console.print(styled("found ", (source.spec.name, "bold"), channels))
                finished = decode(
                    source,
                    streams.config,
                    calibration,
                    out,
                    render=render,
                    live=True,
                    begin=begin,
                    ended=lambda: time.monotonic() > stop_at,
                    outlets=streams.outlets,
                    show=streams.show if show_pictures else None,
                    mark=streams.mark,
                    window=not headless and settings.display.enabled,
                    beside=settings.stimulus if show_pictures else None,
                    observe=[_Teller()],
                    exclusive=True,
                )
        print_rows(f"session in {out}", summary_rows(finished.summary))


def expected(bundle: Bundle) -> str:
    """Return in one line what a bundle's map scored, and when, for people who run it on another day."""
    scores, name = bundle.scores, "auc" if "auc" in bundle.scores else "two_way"
    value, interval = scores.get(name), scores.get(f"{name}_interval")
    day = str(bundle.provenance.get("created", ""))[:10] or "a day that the bundle does not tell"
    if value is None:
        return f"the bundle is of {day}; what to expect of it is not known"
    between = "" if not interval or None in interval else f" [{number(interval[0])}, {number(interval[1])}]"
    simulated = " of simulated EEG" if bundle.simulated else ""
    return f"expected: {name} {number(value)}{between} a trial, chance 0.50: cross-validated{simulated} on {day}"


class _Teller:
    """Prints what people should know while a session runs: notices, and each kind of fault of the stream once."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def __call__(self, event: SessionEvent) -> None:
        """Look at an event of the session."""
        from realtime.sources.base import Notice
        from realtime.timeline.sample_grid import Fault

        if isinstance(event, Notice) or (isinstance(event, Fault) and event.kind not in self._told):
            self._told.add(event.kind)
            errors.print(event.text)
