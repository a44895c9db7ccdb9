"""Scores and maps of real recordings: what the presets give, faces and houses, gratings, and pictures of faces.

The recordings are open but not part of the project: they lie beside it, in ``../shared/data``.
"""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import machine, print_table
from benchmarks.photodiode_recordings import faces
from calibration.data.reading import Windows, read_windows
from calibration.data.targets import Targets, given_targets, make_targets
from calibration.data.trials import Trials
from calibration.fit import fit_trials
from calibration.maps.attributes import Attribute, class_attribute
from calibration.maps.map_recordings import control_p, units_of
from calibration.maps.maps import SPAN_S, AttributeMap, make_maps
from configs.errors import InputError
from configs.schema import Config, load_config, parse_config
from realtime.sources.base import Chunk
from realtime.sources.recording import open_recording
from realtime.spaces import EmbeddingSpace

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
PRESETS = ("muse_n170", "muse_p300", "muse_spatial_freq")
KEPT = (
    "n_trials", "classes", "n_by_class", "auc", "auc_interval", "auc_by_fold", "auc_p", "baseline_auc",
    "baseline_auc_interval", "refused", "n_flagged",
)  # fmt: skip
TEMPORAL = ("TP9", "TP10")
"""Electrodes of a headband that lie behind the ears."""
SEARCHED_MS = {"first": (120, 260), "second": (240, 360), "third": (360, 500)}
"""Where faces are more negative, more positive and more negative again, in ms after onset."""
BEFORE_MS = (100, 220)
"""Where the positive wave that comes first has its largest value."""
PHOTOGRAPHS = {
    "markers": {"from_photodiode": "A2"},
    "filters": {"highpass_hz": 0.5, "lowpass_hz": 20.0},
    "window": {"start_s": 0.0, "stop_s": 0.7},
    "artefacts": {"peak_to_peak_uv": None},
}
MEASURED = ("luminance", "contrast", "logHighSF", "logLowSF", "R-G", "B-Y")
"""What the authors of the pictures of faces measured on each."""

Array = NDArray[np.float64]


def run(quick: bool = False) -> dict[str, Any]:
    """Fit the presets' recordings and map them; ``--quick`` takes the gratings alone, their map by squared error."""
    if not DATA.is_dir():
        msg = f"the real recordings are not in {DATA}"
        raise InputError(msg)
    result: dict[str, Any] = {"scores": {}, "machine": machine()}
    for name in PRESETS[-1:] if quick else PRESETS:
        config, windows, targets = _read(name, quick)
        result["scores"][name] = _scores(config, windows, targets)
        if name == "muse_n170":
            result["n170"] = _n170(config, windows, targets)
        if name == "muse_spatial_freq":
            result["texture"] = {"less the mean of 100 ms before onset": _class_map(config, windows, targets)[2]}
    if not quick:
        result["texture"]["as it is"] = _class_map(*_read("muse_spatial_freq", baseline=False))[2]
        result["faces"] = _faces()
    _print(result)
    return result


def _read(preset: str, quick: bool = False, baseline: bool = True) -> tuple[Config, Windows, Targets]:
    config = load_config(preset)
    if quick:
        few = {"permutations": 100, "choose": "error"}
        config = config.model_copy(update={"fit": config.fit.model_copy(update=few)})
    if not baseline:
        config = config.model_copy(update={"window": config.window.model_copy(update={"baseline_s": None})})
    windows = read_windows(sorted((DATA / preset).glob("run*.csv")), config)
    return config, windows, make_targets(config, windows.trials.names)


def _scores(config: Config, windows: Windows, targets: Targets) -> dict[str, Any]:
    found = fit_trials(windows.trials, targets, config, windows.pre_stimulus)
    kept = {key: found.bundle.scores[key] for key in KEPT}
    return kept | {"chosen": found.bundle.fit["chosen"], "permutations": config.fit.permutations}


def _class_map(config: Config, windows: Windows, targets: Targets) -> tuple[AttributeMap, Array, dict[str, Any]]:
    """Return the map of two classes, its times in seconds, and its figures with those of the control."""
    trials, classes = windows.trials, class_attribute(list(config.markers.classes.values()))
    units, times_s, _, _ = units_of(trials, targets, config, SPAN_S)
    maps = make_maps(units, times_s, trials.spec.channels, [classes], None, config.fit)
    [found] = maps.attributes
    told = maps.numbers()["class"]
    before = control_p(windows.pre_stimulus, targets, [classes], config)
    largest = np.unravel_index(np.abs(found.test.statistic).argmax(), found.test.statistic.shape)
    figures = {
        "n_units": maps.n_units,
        "counts": dict(zip(classes.levels, found.counts, strict=True)),
        "cluster_p": told["cluster_p"],
        "permutations": found.test.permutations,
        "before_p": before.get("class"),
        "t": round(float(found.test.statistic[largest]), 2),
        "at_ms": round(1e3 * float(times_s[largest[0]])),
        "electrode": trials.spec.channels[int(largest[1])],
        "delay_ms": round(1e3 * trials.delay_s),
    }
    return found, times_s, figures


def _n170(config: Config, windows: Windows, targets: Targets) -> dict[str, Any]:
    """Return where faces differ from houses at the temporal electrodes, in each run, and when the first wave comes."""
    found, times_s, figures = _class_map(config, windows, targets)
    at_ms, trials = 1e3 * times_s, windows.trials
    house, face = (found.attribute.levels.index(name) for name in ("house", "face"))
    difference = found.measured[face] - found.measured[house]
    places = [trials.spec.channels.index(name) for name in TEMPORAL]
    peaks = {
        name: {
            which: _extreme(difference[:, place], at_ms, span, negative=which != "second")
            for which, span in SEARCHED_MS.items()
        }
        for name, place in zip(TEMPORAL, places, strict=True)
    }
    means = {(run, name): _mean(trials, run, name)[:, places] for run in _runs(trials) for name in ("house", "face")}
    own_ms = 1e3 * (trials.times_s - trials.delay_s)
    by_run = [
        _extreme((means[run, "face"] - means[run, "house"]).mean(axis=1), own_ms, SEARCHED_MS["first"], negative=True)
        for run in _runs(trials)
    ]
    waves = {
        name: _extreme(_mean(trials, None, name)[:, places].mean(axis=1), own_ms, BEFORE_MS, negative=False)["ms"]
        for name in ("house", "face")
    }
    return figures | {
        "peaks": peaks,
        "first_by_run_ms": [one["ms"] for one in by_run],
        "before_ms": waves,
        "steps_ms": _steps_ms("muse_n170", config),
    }


def _steps_ms(preset: str, config: Config) -> list[float]:
    """Return the least and the largest step from one sample's timestamp to the next, and what it should be, in ms."""
    steps, rate_hz = [], 1.0
    for file in sorted((DATA / preset).glob("run*.csv")):
        recording = open_recording(file, config)
        rate_hz = recording.spec.rate_hz
        timestamps = [item.timestamps for item in recording.events() if isinstance(item, Chunk)]
        steps.append(np.diff(np.concatenate(timestamps)))
    every = np.concatenate(steps)
    return [round(1e3 * float(step), 1) for step in (every.min(), every.max(), 1 / rate_hz)]


def _runs(trials: Trials) -> list[int]:
    runs: list[int] = np.unique(trials.recordings).tolist()
    return runs


def _mean(trials: Trials, run: int | None, name: str) -> Array:
    """Return the mean clean window ``[times, channels]`` of a class, in one run or in all."""
    clean = ~np.array([bool(flags) for flags in trials.flags])
    wanted = clean & (trials.names == name) & (True if run is None else trials.recordings == run)
    mean: Array = trials.samples[wanted].mean(axis=0, dtype=np.float64)
    return mean


def _extreme(curve: Array, at_ms: Array, span_ms: tuple[int, int], *, negative: bool) -> dict[str, float]:
    inside = np.flatnonzero((at_ms >= span_ms[0]) & (at_ms <= span_ms[1]))
    place = inside[curve[inside].argmin() if negative else curve[inside].argmax()]
    return {"uv": round(float(curve[place]), 1), "ms": round(float(at_ms[place]))}


def _faces() -> dict[str, Any]:
    """Return what was found of each attribute of pictures of faces that were no target, timed by their light."""
    config, folder = parse_config(PHOTOGRAPHS, "the benchmark"), DATA / "faces_photodiode"
    with (folder / "person1_stimuli.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with tempfile.TemporaryDirectory() as made:
        files = [
            faces(folder, run, Path(made) / f"run{run}.xdf", [row["picture"] for row in rows if row["run"] == str(run)])
            for run in range(1, 5)
        ]
        windows = read_windows(files, config)
    others = {row["picture"]: row for row in rows if row["target"] == "0"}
    names = sorted(others)
    nothing = np.eye(2, dtype=np.float32)[np.arange(len(names)) % 2]
    targets = given_targets(names, names, nothing, EmbeddingSpace("none", "", 2))
    trials, earlier = (part.take(np.isin(part.names, names)) for part in (windows.trials, windows.pre_stimulus))
    attributes = [
        Attribute(column, "continuous", np.array([float(others[name][column]) for name in names]), tuple(names),
                  ("low", "high"))
        for column in MEASURED
    ]  # fmt: skip
    units, times_s, _, _ = units_of(trials, targets, config, SPAN_S)
    maps = make_maps(units, times_s, trials.spec.channels, attributes, None, config.fit)
    before = control_p(earlier, targets, attributes, config)
    found = {
        name: {"cluster_p": row["cluster_p"], "before_p": before.get(name)} for name, row in maps.numbers().items()
    }
    return {"n_units": maps.n_units, "permutations": config.fit.permutations, "attributes": found}


def _print(result: dict[str, Any]) -> None:
    print_table(
        "single trials of runs that no map learned from",
        ("preset", "trials", "AUC", "interval", "p", "before onset"),
        [
            (name, row["n_trials"], f"{row['auc']:.3f}", "{:.3f} to {:.3f}".format(*row["auc_interval"]),
             row["auc_p"], f"{row['baseline_auc']:.3f}")
            for name, row in result["scores"].items()
        ],
    )  # fmt: skip
    maps = {"faces against houses": result.get("n170")} | {f"gratings, {k}": v for k, v in result["texture"].items()}
    print_table(
        "maps of classes",
        ("map", "trials", "cluster p", "permutations", "p before onset", "largest t", "at ms", "electrode"),
        [
            (name, *(row[key] for key in
                     ("n_units", "cluster_p", "permutations", "before_p", "t", "at_ms", "electrode")))
            for name, row in maps.items() if row is not None
        ],
    )  # fmt: skip
    if "faces" in result:
        rows = result["faces"]["attributes"].items()
        print_table(
            f"maps of {result['faces']['n_units']} pictures of faces",
            ("attribute", "cluster p", "p before onset"),
            [(name, row["cluster_p"], row["before_p"]) for name, row in rows],
        )


if __name__ == "__main__":
    run()
