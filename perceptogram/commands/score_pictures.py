"""``perceptogram score-pictures``: painted pictures against those shown, by the scores that the field prints."""

from __future__ import annotations

from pathlib import Path

import typer

from configs.errors import InputError
from perceptogram.console import number, print_rows, progress_bar, write_json


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""

    @app.command(name="score-pictures")
    def score_pictures(
        painted: Path = typer.Argument(..., help="Folder of painted pictures."),
        shown: Path = typer.Argument(..., help="Folder of the pictures that were shown, under the same names."),
        weights: Path | None = typer.Option(None, help="Folder of the networks' weights; torch hub's by default."),
        download: bool = typer.Option(False, help="Download weights that are not there (2 GB)."),
        size: int = typer.Option(512, min=64, help="Side in pixels at which pictures are compared."),
        json_file: Path | None = typer.Option(None, "--json", help="Write the scores to this file."),
    ) -> None:
        """Score painted pictures against those shown: PixCorr, SSIM, AlexNet, Inception, CLIP, EffNet-B, SwAV.

        Example: perceptogram score-pictures painted shown --weights weights --json scores.json
        """
        from calibration.scores.feature_networks import NETWORKS
        from calibration.scores.reconstruction import LOWER_IS_BETTER, SCORES
        from calibration.scores.reconstruction import score_pictures as score
        from stimuli.picture_files import read_picture

        pairs = paired_files(painted, shown)
        with progress_bar() as progress:
            task = progress.add_task("reading", total=1 + len(NETWORKS))
            images = [[read_picture(file) for file in files] for files in zip(*pairs, strict=True)]
            found = score(
                images[0],
                images[1],
                weights,
                download=download,
                size=size,
                progress=lambda what: progress.update(task, description=what, advance=1),
            )
        if json_file is not None:
            write_json(json_file, found)
        print_rows(
            f"{found['n_pairs']} pairs at {size} × {size} (in brackets: the same pictures exchanged)",
            {
                f"{name} {'↓' if name in LOWER_IS_BETTER else '↑'}": f"{number(found['scores'][name], 3)} "
                f"({number(found['exchanged'][name], 3)})"
                for name in SCORES
            },
        )
        for line in found["absent"]:
            typer.echo(f"n/a: {line}", err=True)


def paired_files(painted: Path, shown: Path) -> list[tuple[Path, Path]]:
    """Return files of both folders that have the same name, whatever their format.

    Raises
    ------
    InputError
        If a folder holds no pictures, or a painted picture has no shown one.
    """
    from stimuli.picture_files import SUFFIXES

    files = []
    for folder in (painted, shown):
        found = sorted(file for file in folder.glob("*") if file.suffix.lower() in SUFFIXES)
        if not found:
            msg = f"there are no pictures in {folder}; give a folder of {', '.join(sorted(SUFFIXES))}"
            raise InputError(msg)
        files.append({file.stem: file for file in found})
    alone = sorted(files[0].keys() - files[1].keys())
    if alone:
        msg = f"{len(alone)} of {len(files[0])} painted pictures have none of their name in {shown}: first {alone[0]!r}"
        raise InputError(msg)
    return [(file, files[1][name]) for name, file in files[0].items()]
