"""Which of 200 new pictures was seen: by the ridge map's embedding and by the contrastive head, from the same trials.

The simulated participant sees drawn pictures, each of its own parameters, in single looks; both maps learn from the
first trials, and everything in them, the choice between them too, comes from those. Test pictures are new, and each is
looked at five times. A second table tells what a fit of the size of THINGS-EEG2 takes, on made-up epochs.
"""

from __future__ import annotations

import json
import pickle
import resource
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from benchmarks.harness import Parts, machine, print_table, versions
from calibration.data.embeddings import load_encoder
from calibration.data.layers import layers_cached, load_tower, side_by_side
from calibration.data.targets import Targets, cache_folder, given_targets
from calibration.heads.choosing import MOST_EPOCHS
from calibration.heads.identification import FittedHead, HeadTargets, candidate_of, fit_head
from calibration.model.examples import Examples, Layout
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
from realtime.spaces import EmbeddingSpace
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
SIZE = (16_540, 250, 63, 1024)
"""Trials (each of a picture of its own), samples and channels of an epoch, and target dimensions of the fit that is
only timed."""
QUICK_SIZE = (1_000, 25, 63, 64)
_SIDES, _ANSWER = 64, 0.05
"""Sides of the made-up pictures that are answered to, and the answers' size in that of the noise."""


def run(quick: bool = False, out: Path | None = None) -> dict[str, Any]:
    """Measure rows of trials, then the large fit; rows that this commit has left in `out` are not measured again."""
    folder = Path(tempfile.mkdtemp()) if out is None else out
    folder.mkdir(parents=True, exist_ok=True)
    counts, parts = QUICK if quick else TRIALS, Parts(out, "quick" if quick else "full")
    world = cache(lambda: World(max(counts), folder))

    def row(count: int, blocks: tuple[int, ...]) -> dict[str, Any]:
        return world().row(count, blocks)

    rows = []
    for blocks in ((),) if quick else ((), BLOCKS):
        for count in counts:
            name = f"{count} trials, blocks {' '.join(map(str, blocks))}"
            rows.append(parts.get(name, partial(row, count, blocks)))
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
        own = gallery.places(self.names[test])
        return (retrieve(predicted, own, np.zeros_like(own), gallery).rank < 1).astype(np.float64)


def timed_fit(trials: int, times: int, channels: int, dims: int, folder: Path) -> dict[str, Any]:
    """Return what both heads of a fit of this size take, on made-up epochs; a run that was cut off goes on.

    Parameters
    ----------
    trials, times, channels, dims
        Size; every trial shows a picture of its own.
    folder
        Where its state is kept, and the time that it has taken.
    """
    folder = folder / f"fit-{trials}-{times}-{channels}"
    clock, kept = folder / "clock.json", folder / "map.pickle"
    before = json.loads(clock.read_text(encoding="utf-8")) if clock.exists() else {}
    examples, layout = _made_up(trials, times, channels, dims)
    names = tuple(examples.names.tolist())
    targets = given_targets(names, names, examples.targets, EmbeddingSpace("made", "up", dims))
    settings, begin, used = FitSettings(identification="contrastive"), time.monotonic(), time.process_time()

    def note() -> dict[str, float]:
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
        spent = {"seconds": time.monotonic() - begin, "core_seconds": time.process_time() - used}
        told = {name: before.get(name, 0.0) + value for name, value in spent.items()}
        told |= {"map_seconds": before.get("map_seconds", told["seconds"])}
        told |= {"map_core_seconds": before.get("map_core_seconds", told["core_seconds"])}
        told |= {"peak_mb": max(before.get("peak_mb", 0.0), peak_mb)}
        write_whole(clock, json.dumps(told))
        return told

    folder.mkdir(parents=True, exist_ok=True)
    if not kept.exists():
        found = fit_map(examples, layout, settings)
        before |= {name: value for name, value in note().items() if name.startswith("map_")}
        write_whole(kept, pickle.dumps(found))
    mapping: Mapping = pickle.loads(kept.read_bytes())
    with progress_bar() as bar:
        task = bar.add_task(f"contrastive head, {trials} epochs of {times} x {channels}", total=MOST)

        def tell() -> None:
            bar.advance(task)
            note()

        head_targets = HeadTargets(targets.gallery, targets.gallery.embeddings[None], "made up")
        head = fit_head(examples, head_targets, layout, settings, candidate_of(mapping), mapping.alpha, tell)
    result = note()
    shutil.rmtree(folder)
    return {
        "trials": trials,
        "features": times * channels,
        "target_dims": dims,
        "how": str(candidate_of(mapping)),
        **{name: round(value, 1) for name, value in result.items()},
        "epochs": head.choice.epochs,
        "head": str(head.choice),
    }


def _made_up(trials: int, times: int, channels: int, dims: int) -> tuple[Examples, Layout]:
    """Return epochs at 250 Hz whose noise is slow and shared by channels, and answers to a few sides of the targets."""
    rng = np.random.default_rng(SEED)
    inner = rng.standard_normal((trials, _SIDES), dtype=np.float32)
    targets = inner @ rng.standard_normal((_SIDES, dims), dtype=np.float32)
    targets += rng.standard_normal((trials, dims), dtype=np.float32)
    times_s = np.arange(times) / 250
    peaks_s = rng.uniform(0.08, 0.4, _SIDES)
    waves = np.exp(-(((times_s[:, None] - peaks_s) / 0.03) ** 2)).astype(np.float32)
    shared = np.eye(channels) + rng.standard_normal((channels, channels)) / channels**0.5
    where = rng.standard_normal((_SIDES, channels), dtype=np.float32)
    samples = np.empty((trials, times, channels), dtype=np.float32)
    for start in range(0, trials, 512):
        block = samples[start : start + 512]
        white = rng.standard_normal(block.shape, dtype=np.float32)
        slow = lfilter(np.array([0.44], np.float32), np.array([1.0, -0.9], np.float32), white, axis=1)
        block[:] = slow @ shared.astype(np.float32)
        block += np.float32(_ANSWER) * ((inner[start : start + 512, None] * waves) @ where)
    names = np.array([f"picture-{number:05d}" for number in range(trials)])
    examples = Examples(samples, targets, names, names, np.ones(trials, dtype=np.bool_))
    return examples, Layout(0, np.zeros(times), times_s)


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
        "both heads of a fit of the size of THINGS-EEG2, made-up epochs",
        ("trials x values of an epoch", "target dims", "s", "core s", "the map's s", "its core s", "peak MB", "epochs"),
        [
            (
                f"{size['trials']} x {size['features']}", size["target_dims"], size["seconds"], size["core_seconds"],
                size["map_seconds"], size["map_core_seconds"], size["peak_mb"], size["epochs"],
            )
        ],
    )  # fmt: skip
