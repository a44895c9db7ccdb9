"""``perceptogram participants``: who was calibrated, on which days, and how well."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import typer

from perceptogram.console import console, number, write_json


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""

    @app.command()
    def participants(
        folders: list[Path] | None = typer.Argument(None, help="Where bundles lie, at any depth; out when left out."),
        json_file: Path | None = typer.Option(None, "--json", help="Write the list to this file."),
        png: Path | None = typer.Option(None, help="Draw the scores by day to this file."),
    ) -> None:
        """List participants by their pseudonyms: days, scores, and what each day took over from earlier ones.

        Example: perceptogram participants out --png days.png
        """
        from rich.table import Table

        from calibration.data.participants import days
        from configs.files import write_whole

        listed = days(folders or [Path("out")])
        if json_file is not None:
            write_json(json_file, [asdict(each) for each in listed])
        if png is not None:
            from calibration.report.days_figure import scores_by_day

            write_whole(png, scores_by_day(listed).png)
        if not listed:
            console.print("no bundle was found: 'perceptogram fit' and 'perceptogram calibrate' write them")
            return
        table = Table("participant", "day", "score", "trials", "from", "memory", "bundle")
        for each in listed:
            score = f"{each.score_name} {number(each.score)}" + (" (simulated)" if each.simulated else "")
            between = "" if each.interval is None else f" [{number(each.interval[0])}, {number(each.interval[1])}]"
            taken = ", ".join(f"{name} ({worth:.0f})" for name, worth in each.sources.items())
            memory = "none" if each.memory_mb is None else f"{each.memory_mb:g} MB"
            trials = "n/a" if each.n_trials is None else str(each.n_trials)
            table.add_row(each.participant, each.day, score + between, trials, taken or "nothing", memory, each.folder)
        console.print(table)
