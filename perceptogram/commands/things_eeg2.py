"""``perceptogram things-eeg2``: the paper's protocol on the public data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from configs.errors import InputError
from perceptogram.console import console, number, waiting, write_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from configs.schema import FitSettings


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""

    @app.command("things-eeg2")
    def things_eeg2(
        root: Path = typer.Option(..., help="Folder with sub-01 and so on, each with the preprocessed .npy files."),
        subjects: str = typer.Option("1-10", help="Numbers and ranges, such as 1-3,8."),
        training: Path | None = typer.Option(None, help="Embeddings of the training pictures, in their order."),
        test: Path | None = typer.Option(None, help="Embeddings of the test pictures, in their order."),
        images: Path | None = typer.Option(None, help="Folder with training_images and test_images, to embed here."),
        model: str = typer.Option("ViT-H-14", help="open_clip model, for --images."),
        pretrained: str = typer.Option("laion2b_s32b_b79k", help="Its weights: a tag or a local file."),
        download: bool = typer.Option(False, "--download", help="Fetch the weights if they are not here."),
        jobs: int = typer.Option(1, min=1, help="Subjects at a time."),
        backend: str = typer.Option("loky", help="joblib backend: loky, or one of a cluster such as dask or ray."),
        json_file: Path | None = typer.Option(None, "--json", help="Write the scores to this file."),
    ) -> None:
        """Reproduce the paper's protocol and an honest single-trial one, beside published rows.

        Example: perceptogram things-eeg2 --root eeg --training clip_train.npy --test clip_test.npy --jobs 2
        """
        from rich.table import Table

        from calibration.things_eeg2 import run_subjects, table
        from configs.schema import FitSettings

        settings = FitSettings(model=model, pretrained=pretrained, download=download)
        numbers = _numbers(subjects)
        if training is not None and test is not None:
            from calibration.data.epochs_files import read_table

            targets = read_table(training)[0], read_table(test)[0]
        elif images is not None:
            targets = _embed(images, settings)
        else:
            msg = "give --training and --test embeddings, or --images"
            raise InputError(msg)
        with waiting(f"fitting {len(numbers)} subjects"):
            results = run_subjects(root, numbers, *targets, settings, jobs=jobs, backend=backend)
        if json_file is not None:
            write_json(json_file, results)
        rows = Table("200-way identification", "top-1", "top-5", "two-way")
        for name, top1, top5, two_way in table(results):
            rows.add_row(name, number(top1, 3), number(top5, 3), number(two_way, 3))
        console.print(rows)


def _numbers(text: str) -> list[int]:
    """Return the numbers in ``1-3,8``."""
    numbers: list[int] = []
    try:
        for part in text.split(","):
            first, _, last = part.partition("-")
            numbers += range(int(first), int(last or first) + 1)
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 1:
        msg = f"--subjects {text}: give numbers from 1 and ranges, such as 1-3,8"
        raise InputError(msg)
    return numbers


def _embed(folder: Path, settings: FitSettings) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    from calibration.data.embeddings import load_encoder
    from calibration.data.targets import cache_folder
    from configs.schema import PictureSettings
    from stimuli.pictures import open_pictures

    encoder = load_encoder(settings.model, settings.pretrained, download=settings.download)
    chosen = PictureSettings(set="things", folder=folder)
    parts = []
    for split in ("calibration", "test"):
        pictures = open_pictures(chosen, "calibration" if split == "calibration" else "test")
        images = [pictures.image(name) for name in sorted(pictures.names)]
        parts.append(encoder.embed_images_cached(images, cache_folder()))
    return parts[0], parts[1]
