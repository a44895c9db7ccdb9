"""The hierarchy's part of the maps: when the EEG tells what, and what the decoder makes of tampered EEG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.maps.attributes import SIZE, Attribute
from calibration.maps.hierarchy import (
    MOST_PICTURES,
    Course,
    Space,
    bin_times,
    decoding_over_time,
    picture_spaces,
    similarity_over_time,
)
from calibration.maps.perturbations import Perturbations, Saliency, perturb
from calibration.maps.readout import make_units
from calibration.model.examples import Examples, Layout
from calibration.progress import Progress, part_of
from calibration.report import hierarchy_figures as figures
from calibration.report.figure import Drawn
from calibration.statistics import rounded
from configs.schema import FitSettings
from realtime.decoding.gallery import Gallery
from stimuli.picture_set import PictureSet


def hierarchy_report(
    examples: Examples,
    layout: Layout,
    times_s: NDArray[np.float64],
    channels: Sequence[str],
    gallery: Gallery,
    attributes: Sequence[Attribute],
    settings: FitSettings,
    pictures: PictureSet | None = None,
    about: str = "EEG",
    progress: Progress | None = None,
) -> tuple[dict[str, Any], list[Drawn]]:
    """Return decoding and similarity over time, perturbation tests and saliency, as numbers for JSON and as figures.

    Parameters
    ----------
    examples, layout, times_s, channels, gallery, attributes, settings, about, progress
        As for `calibration.report.electrode_report.electrode_report`.
    pictures
        Where pictures are looked up; without them, as where only classes are known, pixels and texture are left out.
    """
    units = make_units(examples, layout, settings, whole=True)
    permutations = min(settings.permutations, 200)
    spaces = _spaces(units.names, gallery, pictures)
    courses = decoding_over_time(
        units, times_s, spaces, permutations, settings.seed, part_of(progress, "decoding over time")
    )
    if progress is not None:
        progress("similarity over time", 0, 1)
    alike = similarity_over_time(units, times_s, spaces, permutations, settings.seed)
    tampered, saliency = perturb(
        examples,
        layout,
        times_s,
        channels,
        gallery,
        [attribute.name for attribute in attributes],
        [attribute.design(examples.names) for attribute in attributes],
        settings,
        part_of(progress, "tampered EEG"),
    )
    middles = bin_times(times_s)
    n = f"n = {len(units)} {units.what}" + (
        f" (means over {units.n_trials} trials)" if units.n_trials > len(units) else ""
    )
    drawn = [figures.decoding(courses, middles, [space.what for space in spaces], n, about)]
    if alike is not None:
        drawn.append(figures.similarity(alike, middles, f"n = {min(len(units), MOST_PICTURES)} pictures", about))
    drawn.append(figures.perturbed(tampered, about))
    drawn.append(figures.salient(saliency, times_s, channels, f"n = {len(examples)} trials", about))
    numbers: dict[str, Any] = {
        "n_units": len(units),
        "unit": units.what,
        "n_trials": units.n_trials,
        "decoding": {course.name: course_numbers(course) for course in courses},
        "similarity": None
        if alike is None
        else {kind: {course.name: course_numbers(course) for course in found} for kind, found in alike.items()},
        "perturbed": perturbed_numbers(tampered),
        "saliency": saliency_numbers(saliency, times_s, channels),
    }
    return rounded(numbers), drawn


def _spaces(names: NDArray[np.str_], gallery: Gallery, pictures: PictureSet | None) -> list[Space]:
    places = {name: place for place, name in enumerate(gallery.names)}
    embeddings = gallery.embeddings[[places[str(name)] for name in names]]
    if pictures is None:
        return [Space("class", "the decoder's target", embeddings.astype(np.float64))]
    return picture_spaces([pictures.image(str(name), SIZE) for name in names], embeddings)


def course_numbers(course: Course) -> dict[str, Any]:
    """Return a course as plain numbers, moments in milliseconds; None where nothing is beyond chance."""

    def ms(value: float | None) -> float | None:
        return None if value is None else 1e3 * value

    def both(ends: tuple[float, float] | None) -> list[float] | None:
        return None if ends is None else [1e3 * ends[0], 1e3 * ends[1]]

    return {
        "onset_ms": ms(course.onset_s),
        "onset_interval_ms": both(course.onset_interval_s),
        "peak_ms": ms(course.peak_s),
        "peak_interval_ms": both(course.peak_interval_s),
        "peak": float(course.values.max()),
        "p": float(course.p.min()),
        "threshold": course.threshold,
    }


def perturbed_numbers(found: Perturbations) -> dict[str, Any]:
    """Return the perturbation tests as plain numbers."""
    strongest = {name: int(pull[0].argmax()) for name, pull in found.pulls.items()}
    return {
        "score": found.kind,
        "pairs_exchanged": len(found.exchanged),
        "embedding": {name: {"score": p.score, "interval": [p.low, p.high]} for name, p in found.scores.items()},
        "attributes": {
            name: {condition: {"r": p.score, "interval": [p.low, p.high]} for condition, p in parts.items()}
            for name, parts in found.attributes.items()
        },
        "stretch": {
            name: {
                "strongest_ms": 1e3 * float(found.middles_s[strongest[name]]),
                "share": float(pull[0, strongest[name]]),
                "interval": pull[1:, strongest[name]].tolist(),
            }
            for name, pull in found.pulls.items()
        },
    }


def saliency_numbers(found: Saliency, times_s: NDArray[np.float64], channels: Sequence[str]) -> dict[str, Any]:
    """Return where the evidence came from: in all, its strongest moment, and the electrodes that brought most.

    Parameters
    ----------
    found
        Mean contribution of each sample, and their sum.
    times_s
        ``[times]``, seconds after onset.
    channels
        Names of the electrodes.
    """
    over_time, over_channels = found.contribution.sum(axis=1), found.contribution.sum(axis=0)
    order = np.argsort(-over_channels, kind="stable")[:5]
    return {
        "evidence": found.evidence,
        "strongest_ms": 1e3 * float(times_s[over_time.argmax()]),
        "channels": {channels[place]: float(over_channels[place]) for place in order},
    }
