"""``perceptogram fit``: from recordings to a calibration bundle."""

from __future__ import annotations

from pathlib import Path

import typer

from perceptogram.console import console, number, print_rows, progress_bar


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""

    @app.command()
    def fit(
        recordings: list[Path] = typer.Argument(..., help="XDF, muse-lsl CSV, FIF, BrainVision, EDF, BDF or EEGLAB."),
        config: str = typer.Option(..., help="YAML file or preset that says what was shown."),
        out: Path = typer.Option(..., help="Folder of the bundle."),
    ) -> None:
        """Fit the linear map from EEG to image embeddings and write it with its cross-validated scores.

        Example: perceptogram fit run1.csv run2.csv run3.csv --config muse_n170 --out bundle
        """
        from calibration.fit import fit as fit_bundle
        from configs.schema import load_config

        settings = load_config(config)
        with progress_bar() as progress:
            task = progress.add_task("read", total=len(recordings))

            def tell(stage: str, done: int, total: int) -> None:
                progress.update(task, description=stage, completed=done, total=total)

            bundle = fit_bundle(recordings, settings, progress=tell)
        bundle.save(out)
        print_rows(f"cross-validated{' (simulated EEG)' if bundle.simulated else ''}", score_rows(bundle.scores))
        console.print(f"bundle written to {out}")


def score_rows(scores: dict[str, object]) -> dict[str, str]:
    """Return a bundle's scores for people, chance beside each."""
    rows = {}
    for name, value in scores.items():
        if isinstance(value, float) or value is None:
            rows[name] = number(value, 3)
        elif isinstance(value, int | str):
            rows[name] = str(value)
    return rows
