"""``perceptogram evaluate``: a bundle on recordings it has never seen."""

from __future__ import annotations

from pathlib import Path

import typer

from perceptogram.commands.fit import score_rows
from perceptogram.console import print_notices, print_rows, write_json


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""

    @app.command()
    def evaluate(
        bundle: Path = typer.Argument(..., help="Calibration bundle."),
        recordings: list[Path] = typer.Argument(..., help="Recordings that it was not fitted on."),
        config: str = typer.Option(..., help="YAML file or preset that says what was shown."),
        json_file: Path | None = typer.Option(None, "--json", help="Write the scores to this file."),
    ) -> None:
        """Score a bundle on recordings that it has never seen.

        Example: perceptogram evaluate bundle run4.csv --config muse_n170
        """
        from calibration.evaluate import evaluate as score
        from configs.schema import load_config
        from realtime.decoding.bundle import load_bundle

        calibration = load_bundle(bundle)
        calibration.check_runs()
        scores = score(calibration, recordings, load_config(config))
        if json_file is not None:
            write_json(json_file, scores)
        print_notices(scores["notices"])
        print_rows("scores on recordings never seen", score_rows(scores))
