"""What electrodes cost that die or that a cap lacks: our weights beside interpolation, zeros and a map fitted anew.

All contenders decode the same single looks at new pictures. A map fitted anew is what one would have with a calibration
on the electrodes that are left; nobody has it in the middle of a session.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import Parts, one_thread, print_table
from benchmarks.real_eeg import DATA, PRESET
from calibration.data.reading import read_windows
from calibration.data.targets import Targets, make_targets
from calibration.data.trials import Trials
from calibration.evaluate import score
from calibration.fit import fit_trials
from calibration.model.examples import Examples, Layout
from calibration.model.linear_model import fit_map
from calibration.model.noise import shared_by_channels
from calibration.scores.retrieval import retrieve
from configs.schema import Config, load_config
from realtime.decoding.bundle import Bundle
from realtime.decoding.gallery import Gallery
from realtime.decoding.linear_decoder import WindowWeights
from realtime.decoding.missing_channels import MissingChannels, channel_covariance, filled_in, mixed_weights
from realtime.decoding.other_cap import expected_score, fitted
from realtime.electrodes import CHANNELS_64, spline_covariance
from realtime.epoching.epochs import Closed
from realtime.epoching.pipeline import Pipeline
from realtime.sources.base import StreamSpec
from realtime.sources.simulation.offline import OfflineParticipant
from realtime.sources.simulation.participant import SimulationSettings
from stimuli.pictures import choose_pictures, open_pictures

SEED = 0
N_NEW = 200
N_TRIALS = 450
LOST = (1, 3, 8, 16)
_SUBSET = (
    "Fp1 Fp2 AF3 AF4 F7 F3 Fz F4 F8 FC5 FC1 FC2 FC6 T7 C3 Cz C4 T8 CP5 CP1 CP2 CP6 P7 P3 Pz P4 P8 PO3 PO4 O1 Oz O2"
)
SUBSET_32 = tuple(_SUBSET.split())
"""A usual cap of 32 electrodes."""
MASTOIDS = ("TP9", "TP10")
SIZE = (250, 64, 1024)

Windows = NDArray[np.float32]
Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Looks:
    """The simulated participant's windows: those of known pictures to learn from, and single looks at new ones.

    Attributes
    ----------
    config
        The demo's settings.
    channels
        Columns of the windows.
    samples, names
        ``[trials, times, channels]`` in microvolts, and what was shown.
    taught
        bool ``[trials]``: what is learned from.
    targets
        What each should decode to.
    pipeline
        What the windows were cut by.
    """

    config: Config
    channels: tuple[str, ...]
    samples: Windows
    names: NDArray[np.str_]
    taught: NDArray[np.bool_]
    targets: Targets
    pipeline: Pipeline

    def seen_by(self, channels: Sequence[str], reference: Sequence[str] = ()) -> Looks:
        """Return what a cap with these electrodes records, less the mean of those of its reference."""
        samples = self.samples
        if reference:
            samples = samples - samples[:, :, self._at(reference)].mean(axis=2, keepdims=True)
        return replace(self, channels=tuple(channels), samples=samples[:, :, self._at(channels)])

    def bundle(self, reference: str | None = None) -> Bundle:
        """Return the bundle that is fitted on them; it knows how well it does."""
        learned = self.names[self.taught]
        taught = np.ones(len(learned), dtype=np.bool_)
        examples = Examples(self.samples[self.taught], self.targets.of(learned), learned, learned, taught)
        window = self.config.window
        layout = Layout.of(self.pipeline.times_s, window.start_s, window.baseline_s)
        mapping = fit_map(examples, layout, self.config.fit)
        covariance, use = shared_by_channels(examples, layout, mapping.chain)
        made = Bundle(
            spec=StreamSpec("Simulated", "EEG", "1", 250.0, self.channels, reference=reference),
            filters={},
            rate_hz=self.pipeline.rate_hz,
            first_s=float(self.pipeline.times_s[0]),
            weights=mapping.map.weights,
            bias=mapping.map.bias,
            mean_input=examples.samples.mean(axis=0, dtype=np.float64).astype(np.float32),
            space=self.targets.space,
            gallery=self._gallery(),
            covariance=covariance,
            use=use,
        )
        return replace(made, scores={"two_way": self.two_way(WindowWeights.of(made.weights, made.bias))})

    def two_way(self, weights: WindowWeights) -> float:
        """Return the two-way identification of single looks at new pictures."""
        gallery = self._gallery()
        unseen = self.samples[~self.taught]
        predicted = unseen.reshape(len(unseen), -1) @ weights.weights + weights.bias
        own = gallery.places(self.names[~self.taught])
        return float(retrieve(predicted, own, np.zeros_like(own), gallery).two_way.mean())

    def _gallery(self) -> Gallery:
        return self.targets.scaled_by(self.names[self.taught]).gallery

    def _at(self, channels: Sequence[str]) -> list[int]:
        return [self.channels.index(name) for name in channels]


def looks(n_trials: int, channels: tuple[str, ...] = (*CHANNELS_64, *MASTOIDS)) -> Looks:
    """Return what the demo's participant shows after so many trials, and of single looks at 200 new pictures."""
    config = load_config("demo")
    known = open_pictures(config.pictures, "calibration").names
    new = choose_pictures(open_pictures(config.pictures, "test"), N_NEW, SEED)
    rng = np.random.default_rng(SEED)
    learned = np.concatenate([rng.permutation(known) for _ in range(-(-n_trials // len(known)))])[:n_trials]
    eeg = SimulationSettings(seed=SEED, channels=channels)
    everything = open_pictures(config.pictures, "all")
    source = OfflineParticipant(everything, [*learned.tolist(), *new], config.stimulus.onset_to_onset_s, eeg)
    pipeline = Pipeline(config, source.spec)
    events = [event for item in source.events() for event in pipeline.push(item)] + list(pipeline.finish())
    epochs = [event.epoch for event in events if isinstance(event, Closed)]
    samples = np.array([epoch.samples for epoch in epochs], dtype=np.float32)
    names = np.array([epoch.marker.picture for epoch in epochs])
    taught = ~np.isin(names, new)
    return Looks(config, channels, samples, names, taught, make_targets(config, names), pipeline)


def lost(quick: bool, parts: Parts) -> dict[str, Any]:
    """Measure, print and return: electrodes lost in mid-session, other caps, four real electrodes, and the swap.

    Parameters
    ----------
    quick
        Whether to take fewer trials and losses.
    parts
        What an earlier run has measured of it.
    """

    @cache
    def everything() -> Looks:
        return looks(300 if quick else N_TRIALS)

    found = {
        "swap_ms": parts.get("swap", lambda: swap_ms(3 if quick else 15)),
        "lost": parts.get("lost", lambda: _electrodes_lost(everything(), LOST[:2] if quick else LOST)),
        "caps": parts.get("caps", lambda: _caps(everything())),
        "n170": parts.get("n170", _muse) if DATA.is_dir() else None,
    }
    show(found)
    return found


def show(found: dict[str, Any]) -> None:
    """Print what `lost` found."""
    print_table(
        f"electrodes lost, two-way identification of single looks at {N_NEW} new pictures, simulated participant",
        ("electrodes lost", "which", "ours", "expected", "interpolated", "zeros", "fitted anew"),
        [(row["electrodes"], row["which"], *_cells(row)) for row in found["lost"]],
    )
    print_table(
        "another cap than the bundle's, simulated participant",
        ("cap", "ours", "expected", "fitted on that cap", "on its own cap"),
        [(row["cap"], *(f"{row[key]:.3f}" for key in ("ours", "expected", "refit", "own"))) for row in found["caps"]],
    )
    if found["n170"] is not None:
        print_table(
            "muse_n170, one of four electrodes flat in the test run: AUC",
            ("electrode", "ours", "interpolated", "zeros", "fitted anew", "all four"),
            [
                (row["electrode"], *(f"{row[key]:.3f}" for key in ("ours", "splines", "zeros", "refit", "all")))
                for row in found["n170"]
            ],
        )
    print_table(
        "weights of 64 electrodes × 250 samples × 1,024 made anew for the loss of 1 to 16",
        ("figure", "value"),
        [("median", f"{found['swap_ms']:.0f} ms")],
    )


def _cells(row: dict[str, Any]) -> list[str]:
    return [f"{row[key]:.3f}" for key in ("ours", "expected", "splines", "zeros", "refit")]


def _electrodes_lost(everything: Looks, sizes: Sequence[int]) -> list[dict[str, Any]]:
    seen = everything.seen_by(CHANNELS_64)
    bundle = seen.bundle()
    whole = WindowWeights.of(bundle.weights, bundle.bias)
    best = _best_first(bundle)
    random = np.random.default_rng(SEED).permutation(len(seen.channels))
    own = seen.two_way(whole)
    rows = [{"electrodes": 0, "which": "", "expected": own} | dict.fromkeys(("ours", "splines", "zeros", "refit"), own)]
    for size in sizes:
        for which, order in (("random", random), ("the best", best)):
            rows.append({"electrodes": size, "which": which} | _without(seen, bundle, whole, order[:size]))
    return rows


def _without(seen: Looks, bundle: Bundle, whole: WindowWeights, missing: NDArray[np.intp]) -> dict[str, float]:
    """Return the scores without electrodes, which show nothing; a map fitted anew has only the others."""
    dead = seen.samples.copy()
    dead[:, :, missing] = 0.0
    blind = replace(seen, samples=dead)

    def guessed(covariance: Array) -> float:
        filling = filled_in(covariance, missing)
        return blind.two_way(mixed_weights(whole, bundle.mean_input, bundle.mean_input, filling))

    covariance = channel_covariance(bundle)
    kept = filled_in(covariance, missing) @ covariance
    use = np.zeros((1, 1)) if bundle.use is None else bundle.use.astype(np.float64)
    share = float(np.sum(use * (kept + kept.T) / 2) / np.sum(use * covariance))
    others = [name for place, name in enumerate(seen.channels) if place not in missing]
    return {
        "ours": guessed(covariance),
        "expected": expected_score(bundle.scores["two_way"], share),
        "splines": guessed(spline_covariance(seen.channels)),
        "zeros": blind.two_way(whole),
        "refit": seen.seen_by(others).bundle().scores["two_way"],
    }


def _best_first(bundle: Bundle) -> NDArray[np.intp]:
    """Return the electrodes in the order of what their loss costs the map's predictions, the dearest first."""
    covariance = channel_covariance(bundle)
    use = np.zeros((1, 1)) if bundle.use is None else bundle.use.astype(np.float64)
    left = []
    for place in range(len(covariance)):
        kept = filled_in(covariance, np.array([place])) @ covariance
        left.append(float(np.sum(use * (kept + kept.T))))
    return np.argsort(left)


def _caps(everything: Looks) -> list[dict[str, Any]]:
    """Return the scores of bundles on other caps than their own."""
    seen = everything.seen_by(CHANNELS_64)
    linked = everything.seen_by(CHANNELS_64, MASTOIDS)
    average = everything.seen_by(CHANNELS_64, CHANNELS_64)
    cases: tuple[tuple[str, Looks, str | None, Looks, str | None], ...] = (
        ("64 electrodes on 32", seen, None, seen.seen_by(SUBSET_32), None),
        ("32 electrodes on 64", seen.seen_by(SUBSET_32), None, seen, None),
        ("linked mastoids on average reference", linked, "linked mastoids", average, "average"),
    )
    rows = []
    for name, home, reference, away, other in cases:
        bundle, anew = home.bundle(reference), away.bundle(other)
        cap = fitted(bundle, replace(bundle.spec, channels=away.channels, reference=other), 0.0)
        on_it = away.seen_by(cap.bundle.spec.channels)
        weights = WindowWeights.of(cap.bundle.weights, cap.bundle.bias)
        own = bundle.scores["two_way"]
        expected = own if cap.facts is None else cap.facts["expected"]
        row = {"ours": on_it.two_way(weights), "expected": expected, "refit": anew.scores["two_way"], "own": own}
        rows.append({"cap": name} | row)
    return rows


def _muse() -> list[dict[str, Any]]:
    """Return the AUCs of a headband's fourth run, one of its four electrodes flat."""
    config = load_config(PRESET)
    config = config.model_copy(update={"fit": config.fit.model_copy(update={"permutations": 0})})
    trials = read_windows([DATA / f"run{number}.csv" for number in range(1, 4)], config).trials
    test = read_windows([DATA / "run4.csv"], config).trials
    bundle = _fit(trials, config)
    whole = WindowWeights.of(bundle.weights, bundle.bias)
    rows = []
    for place, electrode in enumerate(bundle.spec.channels):
        dead = test.samples.copy()
        dead[:, :, place] = 0.0
        flat = replace(test, samples=dead)

        def auc(weights: WindowWeights, flat: Trials = flat) -> float:
            decodes = replace(bundle, weights=weights.weights.reshape(bundle.weights.shape), bias=weights.bias)
            return float(score(decodes, flat, config, permutations=0)["auc"])

        def guessed(covariance: Array, place: int = place, auc: Callable[[WindowWeights], float] = auc) -> float:
            filling = filled_in(covariance, np.array([place]))
            return auc(mixed_weights(whole, bundle.mean_input, bundle.mean_input, filling))

        others = [column for column in range(len(bundle.spec.channels)) if column != place]
        anew = _fit(_of_channels(trials, others), config)
        rows.append(
            {
                "electrode": electrode,
                "ours": guessed(channel_covariance(bundle)),
                "splines": guessed(spline_covariance(bundle.spec.channels)),
                "zeros": auc(whole),
                "refit": float(score(anew, _of_channels(test, others), config, permutations=0)["auc"]),
                "all": float(score(bundle, test, config, permutations=0)["auc"]),
            }
        )
    means = {key: float(np.mean([row[key] for row in rows])) for key in rows[0] if key != "electrode"}
    return [*rows, {"electrode": "mean"} | means]


def _fit(trials: Trials, config: Config) -> Bundle:
    return fit_trials(trials, make_targets(config, trials.names), config).bundle


def _of_channels(trials: Trials, columns: Sequence[int]) -> Trials:
    spec = replace(trials.spec, channels=tuple(trials.spec.channels[column] for column in columns))
    return replace(trials, spec=spec, samples=np.ascontiguousarray(trials.samples[:, :, columns]))


def swap_ms(turns: int) -> float:
    """Return the median time in ms in which a map of 64 × 250 × 1,024 is made for the loss of 1 to 16 electrodes."""
    rng = np.random.default_rng(SEED)
    times, channels, dims = SIZE
    weights = rng.standard_normal(SIZE, dtype=np.float32)
    mean = rng.standard_normal((times, channels), dtype=np.float32)
    mixing = rng.standard_normal((channels, channels))
    whole = WindowWeights.of(weights, np.zeros(dims, np.float32))
    taken = []
    with one_thread():
        makes = MissingChannels(whole, mean, mixing @ mixing.T, CHANNELS_64)
        makes.make_room()
        makes.without(("Fp1",))
        for turn in range(turns):
            missing = tuple(rng.permutation(CHANNELS_64)[: LOST[turn % len(LOST)]].tolist())
            begin = time.perf_counter()
            makes.without(missing)
            taken.append(1e3 * (time.perf_counter() - begin))
        makes.close()
    return round(float(np.median(taken)), 1)
