"""``perceptogram ledger``: where the time of each trial went."""

from __future__ import annotations

from pathlib import Path

import typer

from perceptogram.console import print_rows, write_json


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""

    @app.command()
    def ledger(
        log: Path = typer.Argument(..., help="percepts.jsonl of a session."),
        json_file: Path | None = typer.Option(None, "--json", help="Write the percentiles to this file."),
        png: Path | None = typer.Option(None, help="Draw the waterfall here; beside the log when left out."),
    ) -> None:
        """Show when each stage happened, from the last sample to the picture on the screen.

        Example: perceptogram ledger session1/percepts.jsonl --json stages.json
        """
        from configs.errors import InputError
        from configs.files import whole_file
        from realtime.display.latency_waterfall import waterfall
        from realtime.recording.latency_log import read_percepts, summary, trial_times

        if not log.is_file():
            msg = f"there is no percept log {log}: give the percepts.jsonl of a session"
            raise InputError(msg)
        times = trial_times(read_percepts(log))
        delays = summary(times)
        if not delays:
            msg = f"{log} holds no trial with two stages: was anything decoded?"
            raise InputError(msg)
        if json_file is not None:
            write_json(json_file, {"n_trials": len(times), "stages": delays})
        print_rows(
            f"{len(times)} trials",
            {
                name[:-3].replace("_", " "): "p50 {p50:.1f}, p95 {p95:.1f}, p99 {p99:.1f} {unit} (n = {n})".format(
                    unit="µs" if name.endswith("_us") else "ms", **delays[name]
                )
                for name in delays
            },
        )
        if any("last_sample" in record for record in times):
            path = png or log.with_name("ledger.png")
            with whole_file(path) as part:
                waterfall(times).save(part, format="PNG")
            print_rows("drawn", {"waterfall": str(path)})
