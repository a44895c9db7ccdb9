"""The maps against the truth: a simulated participant whose topographies and latencies are known, and one who has none.

Three questions: do the maps show where and when an attribute is, do they find something where nothing is no more often
than they say, and how long do they take?
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import machine, print_table, versions
from calibration.data.reading import Collector
from calibration.data.targets import Targets, given_targets
from calibration.maps.attributes import Attribute, measure_attributes
from calibration.maps.cluster_test import LEVEL_P, PartialRegression, cluster_test
from calibration.maps.comparison import compare
from calibration.maps.map_recordings import concepts_of, units_of
from calibration.maps.maps import SPAN_S, find_peak, level_rows, make_maps
from calibration.maps.montage import Montage
from calibration.maps.readout import Units
from configs.schema import Config, FitSettings, load_config
from realtime.sources.simulation.offline import OfflineParticipant
from realtime.sources.simulation.participant import SimulationSettings, expected_response
from realtime.spaces import EmbeddingSpace
from stimuli.picture_set import PictureSet
from stimuli.pictures import choose_pictures, open_pictures

Array = NDArray[np.float64]

EVERY_S = 0.2
DRIVES = {
    "class": ("superclass", "animate"),
    "hue": ("hue",),
    "texture": ("texture", "roughness"),
    "brightness": ("brightness",),
    "contrast": ("contrast",),
}
"""What each attribute drives in the simulated response."""
JUDGED = ("class", "hue", "texture")
"""Those whose recovery is the headline."""
LOTS = ("number", "category", "category of concepts")
SMALL = ("Fz", "F3", "F4", "C3", "Cz", "C4", "P7", "P3", "Pz", "P4", "P8", "PO7", "PO8", "O1", "Oz", "O2")
SIZE = (64, 250, 1000, 256)
"""Electrodes, samples, pictures and dims of the timed maps."""


def run(quick: bool = False) -> dict[str, Any]:
    """Map ten simulated minutes (quick: one), then 100 participants to whom nothing matters (quick: 10); time it."""
    config = load_config("demo")
    pictures = open_pictures(config.pictures, "calibration")
    rows, simulated_min = _recovery(config, pictures, *((300, 1, 100) if quick else (1000, 3, 1000)))
    false = _false_findings(config, pictures, 10 if quick else 100)
    size, permutations = ((16, 50, 200, 32), 100) if quick else (SIZE, 1000)
    seconds = _timed(size, permutations)
    judged = [rows[name] for name in JUDGED]
    result = {
        "topography_r": min(row["topography_r"] for row in judged),
        "latency_error_ms": max(abs(row["latency_ms"] - row["true_latency_ms"]) for row in judged),
        "false_positive_rate": false["rate"],
        "seconds": seconds,
        "simulated_minutes": simulated_min,
        "attributes": rows,
        "false_positives": false,
        "size": list(size),
        "permutations": permutations,
        "versions": versions("numpy", "scipy", "mne"),
        "machine": machine(),
    }
    _print(result)
    return result


def _recovery(
    config: Config, pictures: PictureSet, count: int, looks: int, permutations: int
) -> tuple[dict[str, dict[str, Any]], float]:
    """Return what the maps found beside what was simulated, and how many minutes that took."""
    who = SimulationSettings()
    units, times_s, concepts = _look(config, pictures, choose_pictures(pictures, count, seed=0), looks, who)
    attributes = measure_attributes(pictures, units.names)
    settings = FitSettings(permutations=permutations)
    maps = make_maps(units, times_s, who.channels, attributes, settings=settings, concepts=concepts)
    rows = {}
    for found in maps.attributes:
        name = found.attribute.name
        if name not in DRIVES:
            continue
        true = _true_map(units, times_s, found.attribute, pictures, who)
        at, (peak, _) = find_peak(true, np.zeros(true.shape[1:], np.bool_))[0], found.peak
        rows[name] = {
            "topography_r": round(float(np.corrcoef(found.measured[:, peak].ravel(), true[:, at].ravel())[0, 1]), 4),
            "latency_ms": round(1e3 * float(times_s[peak]), 1),
            "true_latency_ms": round(1e3 * float(times_s[at]), 1),
            "cluster_p": round(found.test.p, 5),
            "compared": found.compared,
        }
    return rows, count * looks * EVERY_S / 60


def _true_map(
    units: Units, times_s: Array, attribute: Attribute, pictures: PictureSet, who: SimulationSettings
) -> Array:
    """Return each level's noiseless response to what the attribute drives, ``[levels, times, channels]``."""
    response = expected_response(pictures, list(units.names), times_s, who, DRIVES[attribute.name])
    nothing, one_block = np.zeros((len(units), 0)), np.zeros(len(units), np.int64)
    regression = PartialRegression(response, attribute.design(units.names), nothing, one_block)
    return np.tensordot(level_rows(attribute, units.names), regression.slopes(), axes=1)


def _false_findings(config: Config, pictures: PictureSet, seeds: int) -> dict[str, Any]:
    """Return how often something significant is found: hue, which evokes nothing here, and what was drawn by lot."""
    from scipy.stats import binomtest

    found = dict.fromkeys(("hue", *LOTS), 0)
    montage = Montage.of(SMALL)
    for seed in range(seeds):
        who = SimulationSettings(seed=seed, channels=SMALL, rate_hz=125.0, silent=("hue",))
        units, _, concepts = _look(config, pictures, choose_pictures(pictures, 160, seed=seed), 1, who)
        measured = measure_attributes(pictures, units.names)
        rng = np.random.default_rng([seed, 1])
        silent = [attribute for attribute in measured if attribute.name == "hue"]
        for attribute in [*silent, *_by_lot(units.names, concepts, rng)]:
            others = [other for other in measured if other.name != attribute.name]
            regression = compare(units, attribute, others, concepts).regression(units.samples)
            p = cluster_test(regression, montage.neighbours, 200, seed).p
            found[attribute.name] += p <= LEVEL_P
    total, of = sum(found.values()), seeds * len(found)
    by_attribute = {}
    for name, count in found.items():
        interval = binomtest(count, seeds).proportion_ci(method="exact")
        by_attribute[name] = {"rate": count / seeds, "interval": [round(interval.low, 3), round(interval.high, 3)]}
    return {"rate": total / of, "nominal": LEVEL_P, "seeds": seeds, "by_attribute": by_attribute}


def _by_lot(names: NDArray[np.str_], concepts: NDArray[np.str_], rng: np.random.Generator) -> list[Attribute]:
    """Return attributes that are nothing: of pictures and, the third, of concepts."""
    shown = tuple(names.tolist())
    whole = dict(zip(np.unique(concepts), rng.permutation(len(np.unique(concepts))) % 3, strict=True))
    levels = ("a", "b", "c")
    return [
        Attribute(LOTS[0], "continuous", rng.standard_normal(len(names)), shown, ("low", "high")),
        Attribute(LOTS[1], "categorical", rng.permutation(len(names)) % 3, shown, levels),
        Attribute(LOTS[2], "categorical", np.array([whole[each] for each in concepts]), shown, levels),
    ]


def _timed(size: Sequence[int], permutations: int) -> float:
    """Return the seconds for all maps of five attributes, forward model and decoder included; the EEG is noise."""
    channels, times, count, dims = size
    rng = np.random.default_rng(0)
    names = np.array([f"picture-{k:04d}" for k in range(count)])
    concepts = np.array([f"concept-{k % 40}" for k in range(count)])
    shown = tuple(names.tolist())
    attributes = [
        Attribute("class", "categorical", np.arange(count) % 40 % 7, shown, tuple("abcdefg")),
        Attribute("hue", "circular", rng.uniform(0, 360, count), shown, ("red", "yellow", "green", "blue")),
        *(
            Attribute(name, "continuous", rng.standard_normal(count), shown, ("low", "high"))
            for name in ("texture", "brightness", "contrast")
        ),
    ]
    samples = 10 * rng.standard_normal((count, times, channels))
    units = Units(samples, names, np.arange(count) % 5, np.zeros(count, np.int64), count)
    settings = FitSettings(permutations=permutations)
    electrodes, times_s = SimulationSettings().channels[:channels], np.arange(times) / times
    begun = time.perf_counter()
    make_maps(units, times_s, electrodes, attributes, rng.standard_normal((count, dims)), settings, concepts=concepts)
    return round(time.perf_counter() - begun, 1)


def _look(
    config: Config, pictures: PictureSet, names: Sequence[str], looks: int, who: SimulationSettings
) -> tuple[Units, Array, NDArray[np.str_]]:
    """Return the mean windows of pictures, each seen `looks` times through the live path, and their concepts."""
    rng = np.random.default_rng(who.seed)
    shown = [names[k] for _ in range(looks) for k in rng.permutation(len(names))]
    source = OfflineParticipant(pictures, shown, EVERY_S, who)
    collector = Collector(config, source.spec)
    for item in source.events():
        for _ in collector.push(item):
            pass
    targets = _no_targets(pictures, names)
    units, times_s, _, _ = units_of(collector.take(), targets, config, SPAN_S)
    return units, times_s, concepts_of(units.names, targets)


def _no_targets(pictures: PictureSet, names: Sequence[str]) -> Targets:
    """Return targets that say what each picture shows and nothing else."""
    nothing = np.eye(2, dtype=np.float32)[np.arange(len(names)) % 2]
    return given_targets(list(names), [pictures.label(name) for name in names], nothing, EmbeddingSpace("none", "", 2))


def _print(result: dict[str, Any]) -> None:
    about = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    print_table(
        f"maps of a simulated participant, {result['simulated_minutes']:.0f} minutes, beside the truth; {about}",
        ("attribute", "topography r", "latency ms", "true", "cluster p", "compared"),
        [
            (name, *(row[key] for key in ("topography_r", "latency_ms", "true_latency_ms", "cluster_p", "compared")))
            for name, row in result["attributes"].items()
        ],
    )
    false = result["false_positives"]
    print_table(
        f"significant at {false['nominal']:g} though nothing was simulated, {false['seeds']} participants each",
        ("attribute", "share", "95 % interval"),
        [
            (name, f"{row['rate']:.3f}", "{:.3f} to {:.3f}".format(*row["interval"]))
            for name, row in false["by_attribute"].items()
        ],
    )
    channels, times, count, dims = result["size"]
    print_table(
        "time of all maps",
        ("electrodes × samples × pictures × dims", "permutations", "s"),
        [(f"{channels} × {times} × {count:,} × {dims}", result["permutations"], result["seconds"])],
    )


if __name__ == "__main__":
    run()
