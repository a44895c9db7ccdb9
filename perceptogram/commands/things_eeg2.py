"""``perceptogram things-eeg2``: the protocol of the public data set, on it and on its kin."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal

import typer

from configs.errors import InputError
from perceptogram.console import console, number, print_notices, progress_bar, teller, write_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from calibration.protocol import LearnedFrom, Tables
    from calibration.things_eeg2 import ArrayFiles, BidsPeople
    from configs.schema import Config, FitSettings, PictureSettings

_AT_ONCE = 512
"""Pictures in memory at a time while they are embedded."""


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""

    @app.command("things-eeg2")
    def things_eeg2(
        root: Path | None = typer.Option(None, help="Folder with sub-01 and so on, each with preprocessed .npy files."),
        bids: Path | None = typer.Option(None, help="BIDS data set, in place of --root."),
        tasks: str = typer.Option("train,test", help="With --bids, the task to learn from and the one to test on."),
        picture_column: str | None = typer.Option(None, help="With --bids, the column that names the picture."),
        config: str | None = typer.Option(None, help="With --bids, YAML file or preset: channels, filters, fit."),
        subjects: str | None = typer.Option(
            None, help="Numbers and ranges, 1-10 when left out; with --bids labels, all when left out."
        ),
        training: Path | None = typer.Option(None, help="Embeddings of the training pictures, named or in order."),
        test: Path | None = typer.Option(None, help="Embeddings of the test pictures, named or in order."),
        images: Path | None = typer.Option(None, help="Folder with training_images and test_images, to embed here."),
        model: str = typer.Option("ViT-H-14", help="open_clip model, where pictures are embedded here."),
        pretrained: str = typer.Option("laion2b_s32b_b79k", help="Its weights: a tag or a local file."),
        download: bool = typer.Option(False, "--download", help="Fetch the weights if they are not here."),
        learn_from: Literal["averages", "single", "both"] = typer.Option(
            "averages", help="The mean of each picture's repeats, single trials, or once from each."
        ),
        across: bool = typer.Option(True, help="Decode each person by the map of the others as well."),
        out: Path | None = typer.Option(None, help="Folder for what is done: a run that was cut off goes on from it."),
        jobs: int = typer.Option(1, min=1, help="People at a time."),
        backend: str = typer.Option("loky", help="joblib backend on this machine."),
        dask: str | None = typer.Option(None, help="Scheduler of a dask cluster, such as tcp://10.0.0.1:8786."),
        json_file: Path | None = typer.Option(None, "--json", help="Write the scores to this file."),
    ) -> None:
        """Score people on pictures never learned from, by their own map and by the others', beside published rows.

        Example: perceptogram things-eeg2 --bids nm000232 --images stimuli --out scores --json scores.json

        Example: perceptogram things-eeg2 --root eeg --training clip_train.npy --test clip_test.npy --jobs 2
        """
        from rich.table import Table

        from calibration.protocol import Plan
        from calibration.things_eeg2 import run, table

        if (root is None) == (bids is None):
            msg = "give either --root, with preprocessed files, or --bids"
            raise InputError(msg)
        if dask is not None and out is None:
            msg = "--dask needs --out: a folder that every worker reaches by this name"
            raise InputError(msg)
        settings, given = _settings(config, model, pretrained, download)
        how: dict[str, tuple[LearnedFrom, ...]] = {
            "averages": ("averages",),
            "single": ("single trials",),
            "both": ("averages", "single trials"),
        }
        with TemporaryDirectory(prefix="perceptogram-") as passing:
            folder = Path(passing) if out is None else out
            people: ArrayFiles | BidsPeople
            if bids is not None:
                chosen = () if subjects is None else tuple(part.strip() for part in subjects.split(","))
                people, tables, notices = _of_data_set(
                    bids, folder, tasks, chosen, given, picture_column, (training, test), images, settings
                )
                labels = people.subjects
                print_notices(notices)
            else:
                people, tables = _of_arrays(root or Path(), (training, test), images, settings)
                labels = tuple(f"{each:02d}" for each in _numbers(subjects or "1-10"))
            plan = Plan(people, labels, tables, settings, how[learn_from], across and len(labels) > 1, folder)
            with progress_bar() as progress:
                found = run(plan, jobs, backend, dask, progress=teller(progress))
        if json_file is not None:
            write_json(json_file, found)
        rows = Table(f"identification of {found['n_test']}", "repeats", "top-1", "95 %", "top-5", "two-way", "read in")
        for name, repeats, top1, interval, top5, two_way, source in table(found):
            low_high = "" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}"
            rows.add_row(name, repeats, number(top1, 3), low_high, number(top5, 3), number(two_way, 3), source)
        console.print(rows)


def _settings(config: str | None, model: str, pretrained: str, download: bool) -> tuple[FitSettings, Config]:
    """Return the settings of the fit, and those by which a data set is cut."""
    from calibration.things_eeg2 import CONFIG
    from configs.schema import FitSettings, load_config

    update = {"model": model, "pretrained": pretrained, "download": download}
    if config is None:
        return FitSettings().model_copy(update=update), CONFIG
    given = load_config(config)
    return given.fit.model_copy(update=update), given.model_copy(update={"window": CONFIG.window})


def _of_arrays(
    root: Path, files: tuple[Path | None, Path | None], images: Path | None, settings: FitSettings
) -> tuple[ArrayFiles, Tables]:
    from calibration.data.epochs_files import read_table
    from calibration.protocol import Tables
    from calibration.things_eeg2 import ArrayFiles
    from configs.schema import PictureSettings
    from stimuli.picture_set import SPLITS
    from stimuli.pictures import open_pictures

    training, test = files
    if training is not None and test is not None:
        tables = Tables(read_table(training)[0], read_table(test)[0])
    elif images is not None:
        chosen = PictureSettings(set="things", folder=images)
        names = [sorted(open_pictures(chosen, split).names) for split in SPLITS[:2]]
        known, unknown = (_embedded(chosen, part, settings) for part in names)
        tables = Tables(known, unknown, settings.model, _layers(chosen, names, settings))
    else:
        msg = "give --training and --test embeddings, or --images"
        raise InputError(msg)
    return ArrayFiles(root, (len(tables.training), len(tables.test))), tables


def _of_data_set(
    root: Path,
    folder: Path,
    tasks: str,
    subjects: tuple[str, ...],
    config: Config,
    picture_column: str | None,
    files: tuple[Path | None, Path | None],
    images: Path | None,
    settings: FitSettings,
) -> tuple[BidsPeople, Tables, tuple[str, ...]]:
    from calibration.protocol import Tables
    from calibration.things_eeg2 import bids_people, read_rows
    from configs.schema import PictureSettings

    first, _, second = (part.strip() for part in tasks.partition(","))
    if not first or not second:
        msg = f"--tasks {tasks}: give two labels, such as train,test"
        raise InputError(msg)
    people, notices = bids_people(root, folder / "windows", (first, second), subjects, config, picture_column)
    training, test = files
    if training is not None and test is not None:
        tables = Tables(read_rows(training, people.names[0]), read_rows(test, people.names[1]))
    elif training is not None or test is not None:
        msg = "give embeddings of both parts, --training and --test, or of none"
        raise InputError(msg)
    else:
        chosen = people.config.pictures if images is None else PictureSettings(set="things", folder=images)
        known, unknown = (_embedded(chosen, names, settings) for names in people.names)
        tables = Tables(known, unknown, settings.model, _layers(chosen, people.names, settings))
    return people, tables, notices


def _embedded(chosen: PictureSettings, names: Sequence[str], settings: FitSettings) -> NDArray[np.float32]:
    """Return the embeddings ``[pictures, dims]`` of pictures; they are kept, so that the next time they are there."""
    import numpy as np

    from calibration.data.embeddings import load_encoder
    from calibration.data.targets import cache_folder
    from stimuli.pictures import open_pictures

    pictures = open_pictures(chosen, "all")
    encoder = load_encoder(settings.model, settings.pretrained, download=settings.download)
    parts = []
    for start in range(0, len(names), _AT_ONCE):
        images = [pictures.image(name) for name in names[start : start + _AT_ONCE]]
        parts.append(encoder.embed_images_cached(images, cache_folder()))
    return np.concatenate(parts)


def _layers(
    chosen: PictureSettings, names: Sequence[Sequence[str]], settings: FitSettings
) -> NDArray[np.float32] | None:
    """Return what a contrastive head learns of training and test pictures, where that is not their embedding."""
    from calibration.data.layers import picture_layers
    from configs.schema import Config

    if settings.identification == "same" or not (settings.identification_layers or settings.identification_model):
        return None
    return picture_layers(Config(pictures=chosen, fit=settings), [name for part in names for name in part])[0]


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
