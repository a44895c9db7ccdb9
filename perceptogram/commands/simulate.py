"""``perceptogram simulate``: a simulated participant on the network."""

from __future__ import annotations

import typer

from configs.errors import InputError
from perceptogram.console import console, styled


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""

    @app.command()
    def simulate(
        config: str = typer.Option("demo", help="YAML file or preset: which channels, pictures and marker stream."),
        seed: int = typer.Option(0, help="Who is simulated."),
        snr: float = typer.Option(1.0, min=0.0, help="Size of the evoked response; 0 for none at all."),
        rate_hz: float | None = typer.Option(
            None, "--rate", min=100.0, help="Sampling rate in Hz; 250, or what the config can reduce, when left out."
        ),
        name: str = typer.Option("SimulatedEEG", help="Name of the stream."),
        seconds: float | None = typer.Option(None, min=0.1, help="Stop after this long; else on Ctrl-C."),
        fault: list[str] = typer.Option(
            [], help="What goes wrong and when, such as drop:n=50,at=5 or jitter:sd=0.002; may be given again."
        ),
    ) -> None:
        """Publish the EEG of a simulated participant who looks at the pictures that the markers name.

        Faults: drop, stall, jitter, burst, clock-step, unix, rate, repeat, nan, railed, flat, unit, missing,
        reordered, restart, restart-without-id, duplicate-id; docs/faults.md says what each does.

        Example: perceptogram simulate --seed 3 --snr 0.5 --fault drop:n=50,at=5 --fault jitter:sd=0.002
        """
        import time
        from dataclasses import replace

        from configs.schema import load_config
        from realtime.sources.simulated import SimulatedStream, start_simulated
        from realtime.sources.simulation.participant import stand_in
        from stimuli.child import ChildError

        settings = load_config(config)
        if settings.pictures.set == "labels":
            msg = "pictures.set labels: a simulated participant looks at pictures; choose drawn, folder or things"
            raise InputError(msg)
        participant = stand_in(settings, seed, snr)
        job = SimulatedStream(
            participant=participant if rate_hz is None else replace(participant, rate_hz=rate_hz),
            pictures=settings.pictures,
            markers=settings.markers,
            name=name,
            faults=tuple(fault),
        )
        try:
            job.parsed_faults()
        except ValueError as error:
            msg = f"--fault: {error}"
            raise InputError(msg) from error
        try:
            child = start_simulated(job)
        except ChildError as error:
            raise InputError(str(error)) from error
        started = time.monotonic()
        try:
            console.print(styled(f"simulated participant {seed} sends as ", (name, "bold"), ", type EEG; Ctrl-C stops"))
            for text in fault:
                console.print(f"simulated fault: {text}")
            while child.running and (seconds is None or time.monotonic() - started < seconds):
                time.sleep(0.2)
        finally:
            child.stop()
