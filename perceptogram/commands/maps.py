"""``perceptogram maps``: which electrodes, and when, carried what the pictures differ in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from perceptogram.console import console, number, print_notices, print_rows, progress_bar, teller, write_json


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""

    @app.command()
    def maps(
        bundle: Path = typer.Argument(..., help="Calibration bundle."),
        recordings: list[Path] = typer.Argument(..., help="Recordings, those that it was fitted on or others."),
        config: str = typer.Option(..., help="YAML file or preset that says what was shown."),
        out: Path | None = typer.Option(None, help="Folder of figures and maps.html; BUNDLE/maps when left out."),
        json_file: Path | None = typer.Option(None, "--json", help="Write the numbers to this file."),
        columns: list[str] | None = typer.Option(
            None, "--column", help="Column of the manifest to map; again for more. All that can serve when left out."
        ),
        permutations: int = typer.Option(1000, min=21, help="Permutations of the cluster test; 21 can reach p < 0.05."),
        figures: bool = typer.Option(True, help="Draw the figures; without, the numbers alone."),
    ) -> None:
        """Map semantic class, hue, texture, brightness, contrast and the manifest's columns onto electrodes and time.

        Example: perceptogram maps bundle run1.csv run2.csv run3.csv --config muse_n170 --out maps --json maps.json
        """
        from calibration.maps.map_recordings import map_recordings
        from calibration.report.electrode_page import write_electrode_page
        from calibration.report.maps_page import write_maps_page
        from configs.schema import load_config
        from realtime.decoding.bundle import load_bundle

        settings, calibration = load_config(config), load_bundle(bundle)
        calibration.check_runs()
        settings = settings.model_copy(update={"fit": settings.fit.model_copy(update={"permutations": permutations})})
        folder = bundle / "maps" if out is None else out
        with progress_bar() as progress:
            tell = teller(progress)
            mapped = map_recordings(calibration, recordings, settings, columns, tell)
            found, numbers = mapped.maps, mapped.numbers()
            if figures:
                write_maps_page(found, numbers, folder, tell)
                write_electrode_page(mapped.trials, mapped.targets, mapped.attributes, mapped.config, folder, tell)
        if json_file is not None:
            write_json(json_file, numbers)
        cannot_draw = () if found.montage.cannot_draw is None else (found.montage.cannot_draw,)
        print_notices((*mapped.trials.notices, *cannot_draw, *found.left_out))
        print_rows(
            f"maps of {found.n_units} {found.units}{' (simulated EEG)' if found.simulated else ''}",
            {name: _line(row) for name, row in numbers.items()},
        )
        if figures:
            console.print(f"open {folder / 'maps.html'} and {folder / 'electrodes.html'}")


def _line(row: dict[str, Any]) -> str:
    from calibration.report.page import p_is

    where = "nothing significant"
    if row["peak_latency_ms"] is not None:
        where = f"peak {row['peak_latency_ms']:.0f} ms at {', '.join(row['peak_channels'])}"
    return (
        f"{where}; cluster {p_is(row['cluster_p'])}, before onset {p_is(row['pre_stimulus_cluster_p'])}; "
        f"variance explained {number(row['variance_explained'], 3)}"
    )
