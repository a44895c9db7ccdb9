"""``perceptogram export-bids``: recordings as a BIDS-EEG dataset."""

from __future__ import annotations

from pathlib import Path

import typer

from perceptogram.console import print_notices, print_rows


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""

    @app.command("export-bids")
    def export_bids(
        recordings: list[Path] = typer.Argument(..., help="Recordings, each a run of the same person."),
        out: Path = typer.Option(..., help="Folder for the dataset; it must not exist, or be empty."),
        config: str | None = typer.Option(None, help="YAML file or preset: streams, unit, and the picture set shown."),
        subject: str = typer.Option("01", help="Label of the person: letters and digits."),
        session: str | None = typer.Option(None, help="Label of the session, if there is more than one."),
        task: str = typer.Option("pictures", help="Label of the task."),
        line_hz: float | None = typer.Option(None, "--line", help="Mains frequency in Hz: 50 or 60."),
    ) -> None:
        """Write recordings as a BIDS-EEG dataset: BrainVision files, events, the pictures shown, reconstructions.

        Percepts and pictures that a session left beside a recording become its derivatives.

        Example: perceptogram export-bids demo/recording.xdf --config demo --out bids --line 50
        """
        from configs.schema import Config, load_config
        from perceptogram.bids import Who
        from perceptogram.bids import export_bids as export

        settings = load_config(config) if config is not None else Config()
        for run in export(recordings, out, settings, Who(subject, session, task), line_hz):
            print_notices(f"{run.recording}: {text}" for text in run.notices)
            outside = f", {run.events_outside} more lie outside the EEG" if run.events_outside else ""
            print_rows(
                f"{run.recording} in {out}",
                {
                    "samples": f"{run.samples}, {run.lost} of them lost",
                    "events": f"{run.events}{outside}",
                    "pictures shown": str(run.stimuli),
                    "reconstructions": str(run.reconstructions),
                },
            )
