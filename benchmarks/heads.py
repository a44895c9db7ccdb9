"""Which of 200 new pictures was seen: by the ridge map's embedding and by the contrastive head, from the same trials.

The simulated participant sees drawn pictures, each of its own parameters, in single looks; both maps learn from the
first trials, and everything in them, the choice between them too, comes from those. Test pictures are new, and each is
looked at five times. A second table tells what a fit of the size of THINGS-EEG2 takes, on made-up features.
"""

from __future__ import annotations

import json
import pickle
import resource
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import machine, print_table, versions
from calibration.data.embeddings import load_encoder
from calibration.data.layers import layers_cached, load_tower, side_by_side
from calibration.data.targets import Targets, cache_folder, given_targets
from calibration.heads.choosing import MOST_EPOCHS, choose_head
from calibration.heads.contrastive import Problem
from calibration.heads.identification import FittedHead, HeadTargets, candidate_of, fit_head, train
from calibration.heads.kept import Kept
from calibration.model.examples import Examples, Layout
from calibration.model.folds import grouped_folds
from calibration.model.linear_model import Mapping, fit_map
from calibration.scores.retrieval import retrieve
from calibration.statistics import mean_interval
from configs.files import whole_file, write_whole
from configs.schema import Config, FitSettings, load_config
from perceptogram.console import progress_bar
from realtime.decoding.gallery import Gallery
from realtime.epoching.epochs import Closed
from realtime.epoching.pipeline import Pipeline
from realtime.sources.simulation.offline import OfflineParticipant
from realtime.sources.simulation.participant import SimulationSettings
from stimuli.drawn.manifest import test_pictures, training_picture
from stimuli.pictures import DrawnSet, open_pictures

SEED = 0
N_PICTURES, N_NEW, LOOKS = 2000, 200, 5
FIRST_PICTURE = 1_000_000
"""Of the endless stream; the small encoder was trained on earlier ones."""
PIXELS = 128
"""Width and height at which pictures are drawn for the encoder, which makes them 64."""
CHOSEN_ON = 1500
"""Trials on which the way from epochs to features is chosen for all larger numbers: from there on the choice takes
many times as long as all else."""
TRIALS = (300, 1500, 4000, 8000)
QUICK = (300,)
BLOCKS = (4, 5)
"""Of the small encoder, for the rows whose head learns layers."""
MOST = (len(FitSettings().identification_decay) + 1) * MOST_EPOCHS
"""Epochs of a fit at most."""
SIZE = (16_540, 63 * 250, 1024)
"""Trials (each of a picture of its own), features and target dimensions of the fit that is only timed."""
QUICK_SIZE = (1_000, 63 * 25, 64)


def run(quick: bool = False, out: Path | None = None) -> dict[str, Any]:
    """Measure rows of trials, then the large fit; what a run has left in the folder `out` is not measured again."""
    folder = Path(tempfile.mkdtemp()) if out is None else out
    folder.mkdir(parents=True, exist_ok=True)
    counts = QUICK if quick else TRIALS
    world: list[World] = []
    rows = []
    for blocks in ((),) if quick else ((), BLOCKS):
        for count in counts:
            file = folder / f"{count}-{'-'.join(map(str, blocks))}.json"
            if not file.exists():
                world = world or [World(max(counts), folder)]
                write_whole(file, json.dumps(world[0].row(count, blocks)))
            rows.append(json.loads(file.read_text(encoding="utf-8")))
    size = timed_fit(*(QUICK_SIZE if quick else SIZE), folder)
    _print(rows)
    _print_size(size)
    return {"rows": rows, "size": size, "machine": machine(), "versions": versions("numpy", "torch", "open_clip_torch")}


class World:
    """What the participant answered to `n_trials` looks to learn from, and to new pictures."""

    def __init__(self, n_trials: int, folder: Path) -> None:
        self.config, self.folder = load_config("demo"), folder
        numbers = range(min(N_PICTURES, n_trials))
        known = {f"picture-{number:04d}": training_picture(FIRST_PICTURE + number) for number in numbers}
        fixed = dict(zip(open_pictures(self.config.pictures, "test").names, test_pictures(), strict=True))
        new = list(fixed)[:N_NEW]
        self.pictures = DrawnSet(known | {name: fixed[name] for name in new})
        rng = np.random.default_rng(SEED)
        rounds = -(-n_trials // len(known))
        learned = np.concatenate([rng.permutation(list(known)) for _ in range(rounds)])[:n_trials]
        shown = [*learned.tolist(), *rng.permutation(np.repeat(np.array(new), LOOKS)).tolist()]
        kept = folder / f"answers-{n_trials}.npz"
        if not kept.exists():
            samples, names = self._simulated(shown)
            with whole_file(kept) as part, part.open("wb") as file:
                np.savez(file, samples=samples, names=names)
        with np.load(kept) as content:
            self.samples, self.names = content["samples"], content["names"]
        self.is_new = np.isin(self.names, new)
        window, rate_hz = self.config.window, self.config.filters.rate_hz
        times_s = window.first_s + np.arange(self.samples.shape[1]) / float(rate_hz or 1.0)
        self.layout = Layout.of(times_s, window.start_s, window.baseline_s)
        self.known: dict[tuple[int, ...], NDArray[np.float32]] = {}

    def _simulated(self, shown: list[str]) -> tuple[NDArray[np.float32], NDArray[np.str_]]:
        """Return the windows of looks at pictures, and what each shows."""
        source = OfflineParticipant(
            self.pictures, shown, self.config.stimulus.onset_to_onset_s, SimulationSettings(seed=SEED)
        )
        pipeline = Pipeline(self.config, source.spec)
        events = [event for item in source.events() for event in pipeline.push(item)] + list(pipeline.finish())
        epochs = [event.epoch for event in events if isinstance(event, Closed)]
        return (
            np.array([epoch.samples for epoch in epochs], dtype=np.float32),
            np.array([epoch.marker.picture for epoch in epochs]),
        )

    def row(self, n_trials: int, blocks: tuple[int, ...]) -> dict[str, Any]:
        """Return the scores of maps of the first `n_trials` looks; the head learns layers where blocks are given."""
        test = np.flatnonzero(self.is_new)
        examples, targets = self.taught(n_trials)
        mapping = self.mapping(n_trials)
        settings = self.config.fit.model_copy(update={"identification": "auto", "identification_layers": blocks})
        layers = self.learned(blocks)
        said = f"its blocks {', '.join(map(str, blocks))}" if blocks else "its embedding"
        head_targets = HeadTargets(targets.gallery, layers, said)
        begin = time.monotonic()
        with progress_bar() as bar:
            task = bar.add_task(f"contrastive head, {n_trials} trials", total=MOST)
            head = fit_head(
                examples, head_targets, self.layout, settings, candidate_of(mapping), mapping.alpha,
                lambda: bar.advance(task),
            )  # fmt: skip
        seconds = time.monotonic() - begin
        predicted = mapping.map.predict(self.samples[test])
        by_angle = self._right(predicted, test, targets.gallery)
        ridge = self._right(predicted, test, replace(targets.gallery, likelihood=mapping.comparison.likelihood))
        ours = self._right(head.predict(self.samples[test]), test, _gallery(head, targets.gallery))
        own = self.names[test]
        low, high = mean_interval(ours, own, SEED)
        difference = mean_interval(ours - ridge, own, SEED)
        return {
            "trials": n_trials,
            "pictures": len(np.unique(examples.names)),
            "targets": said,
            "ridge_top1": float(ridge.mean()),
            "ridge_interval": mean_interval(ridge, own, SEED),
            "ridge_by_angle_top1": float(by_angle.mean()),
            "ridge_compared_by": mapping.comparison.form,
            "contrastive_top1": float(ours.mean()),
            "low": low,
            "high": high,
            "difference_interval": difference,
            "chosen": head.choice.kind if head.choice.pays else "same",
            "how": str(head.choice),
            "seconds": round(seconds, 1),
        }

    def taught(self, n_trials: int) -> tuple[Examples, Targets]:
        """Return the first looks with the embeddings of their pictures, and those of all pictures."""
        names = self.pictures.names
        labels = [self.pictures.label(name) for name in names]
        rows = np.flatnonzero(~self.is_new)[:n_trials]
        shown = self.names[rows]
        targets = given_targets(names, labels, self.learned(())[0], load_encoder().space).scaled_by(shown)
        everything = np.ones(len(rows), dtype=np.bool_)
        return Examples(self.samples[rows], targets.of(shown), shown, shown, everything), targets

    def mapping(self, n_trials: int) -> Mapping:
        """Return the first head of the first looks, kept in the folder."""
        kept = self.folder / f"map-{n_trials}.pickle"
        if not kept.exists():
            options = (candidate_of(self.mapping(CHOSEN_ON)),) if n_trials > CHOSEN_ON else ()
            found = fit_map(self.taught(n_trials)[0], self.layout, self.config.fit, options=options)
            write_whole(kept, pickle.dumps(found))
        mapping: Mapping = pickle.loads(kept.read_bytes())
        return mapping

    def learned(self, blocks: tuple[int, ...]) -> NDArray[np.float32]:
        """Return ``[layers, pictures, dims]`` of the small encoder: the blocks given, or else its embeddings."""
        if blocks not in self.known:
            tower, size = load_tower(Config()), PIXELS
            rows = layers_cached(
                tower, blocks, self.pictures.names, lambda name: self.pictures.image(name, size), cache_folder()
            )
            self.known[blocks] = side_by_side(rows)
        return self.known[blocks]

    def _right(self, predicted: NDArray[np.float32], test: NDArray[np.int64], gallery: Gallery) -> NDArray[np.float64]:
        """Return 1 for each look whose picture comes first of the new ones, else 0."""
        own = np.array([gallery.numbers[str(name)] for name in self.names[test]])
        return (retrieve(predicted, own, np.zeros_like(own), gallery).rank < 1).astype(np.float64)


def timed_fit(trials: int, features: int, dims: int, folder: Path) -> dict[str, Any]:
    """Return what a fit of this size takes, on made-up features; a run that was cut off goes on, its time counted.

    Parameters
    ----------
    trials, features, dims
        Size; every trial shows a picture of its own.
    folder
        Where its state is kept.
    """
    rng = np.random.default_rng(SEED)
    settings = FitSettings()
    inner = rng.standard_normal((trials, 64), dtype=np.float32)
    targets = inner @ rng.standard_normal((64, dims), dtype=np.float32) + rng.standard_normal(
        (trials, dims), dtype=np.float32
    )
    made = rng.standard_normal((trials, features), dtype=np.float32)
    made += inner @ (rng.standard_normal((64, features), dtype=np.float32) / np.float32(8 * features**0.5) * 3)
    problem = Problem(made, np.arange(trials), targets[None])
    kept = Kept(folder / f"fit-{trials}-{features}")
    clock = folder / f"fit-{trials}-{features}.json"
    before = json.loads(clock.read_text(encoding="utf-8")) if clock.exists() else {"seconds": 0.0, "peak_mb": 0.0}
    begin = time.monotonic()

    def spent() -> dict[str, float]:
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
        return {
            "seconds": before["seconds"] + time.monotonic() - begin,
            "peak_mb": max(before["peak_mb"], peak_mb),
        }

    with progress_bar() as bar:
        task = bar.add_task(f"contrastive fit, {trials} x {features}", total=MOST)

        def tell() -> None:
            bar.advance(task)
            write_whole(clock, json.dumps(spent()))

        folds = grouped_folds(problem.pictures, settings.folds, SEED)
        choice = choose_head(problem, folds, 1e4, settings, kept, tell)
        train(problem, choice, 1e4, settings, kept, tell)
    result = spent()
    kept.forget()
    clock.unlink(missing_ok=True)
    return {
        "trials": trials,
        "features": features,
        "target_dims": dims,
        "seconds": round(result["seconds"], 1),
        "peak_mb": round(result["peak_mb"]),
        "epochs": choice.epochs,
    }


def _gallery(head: FittedHead, gallery: Gallery) -> Gallery:
    dims = head.embeddings.shape[1]
    return Gallery(
        gallery.names, gallery.labels, head.embeddings, np.zeros(dims, np.float32), np.ones(dims, np.float32)
    )


def _print(rows: list[dict[str, Any]]) -> None:
    print_table(
        f"single looks at {N_NEW} new pictures, simulated EEG: how often the right one comes first",
        ("trials", "pictures", "learns", "ridge, angle", "ridge", "head", "95 %", "difference, 95 %", "chosen", "s"),
        [
            (
                row["trials"], row["pictures"], row["targets"], f"{row['ridge_by_angle_top1']:.3f}",
                f"{row['ridge_top1']:.3f}",
                f"{row['contrastive_top1']:.3f}", f"{row['low']:.3f} to {row['high']:.3f}",
                "{:+.3f} to {:+.3f}".format(*row["difference_interval"]), row["chosen"], f"{row['seconds']:.0f}",
            )
            for row in rows
        ],
    )  # fmt: skip


def _print_size(size: dict[str, Any]) -> None:
    print_table(
        "a contrastive fit of the size of THINGS-EEG2, made-up features",
        ("trials x features", "target dims", "seconds", "peak MB"),
        [(f"{size['trials']} x {size['features']}", size["target_dims"], size["seconds"], size["peak_mb"])],
    )
