"""The electrodes' part of the maps: measured, in numbers, and drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.maps.attributes import Attribute
from calibration.maps.electrode_choice import Choice, choose_electrodes
from calibration.maps.electrodes import LEVEL_P, Preference, electrode_preference
from calibration.maps.readout import make_units
from calibration.model.examples import Examples, Layout
from calibration.progress import Progress, part_of
from calibration.report.electrode_figures import electrode_figures
from calibration.report.figure import Drawn
from calibration.statistics import rounded
from configs.schema import FitSettings
from realtime.decoding.gallery import Gallery


def electrode_report(
    examples: Examples,
    layout: Layout,
    times_s: NDArray[np.float64],
    channels: Sequence[str],
    gallery: Gallery,
    attributes: Sequence[Attribute],
    settings: FitSettings,
    about: str = "EEG",
    progress: Progress | None = None,
) -> tuple[dict[str, Any], list[Drawn]]:
    """Return what each electrode carries and how few would do, as numbers for JSON and as figures.

    Parameters
    ----------
    examples, layout
        Trials with their targets, and where window and baseline lie in them.
    times_s
        ``[times]`` of the epochs after onset, filter delay taken out.
    channels
        Names of the electrodes.
    gallery
        Embeddings of what was shown.
    attributes
        What the pictures differ in.
    settings
        Folds, permutations (at most 200 are made), seed.
    about
        Whose EEG it is, for the captions; say there where it is simulated.
    progress
        Told what is being done, how many parts are done, and of how many.
    """
    units = make_units(examples, layout, settings)
    window_s = times_s[layout.start :]
    found = electrode_preference(
        units,
        window_s,
        channels,
        [attribute.name for attribute in attributes],
        [attribute.design(units.names) for attribute in attributes],
        min(settings.permutations, 200),
        settings.seed,
        part_of(progress, "electrodes one by one"),
    )
    rate_hz = 1 / float(window_s[1] - window_s[0])
    choice = choose_electrodes(
        units, rate_hz, channels, gallery, settings.seed, progress=part_of(progress, "choosing electrodes")
    )
    numbers = rounded({"n_units": len(units), "unit": units.what, "n_trials": units.n_trials})
    numbers |= {"electrodes": preference_numbers(found), "choice": choice_numbers(choice)}
    return numbers, electrode_figures(found, choice, about)


def preference_numbers(found: Preference) -> dict[str, Any]:
    """Return the preference as plain numbers: by electrode, and by attribute the electrodes that tell it best."""
    by_electrode = {}
    for row, name in enumerate(found.channels):
        by_electrode[name] = {
            "prefers": found.preferred[row],
            **{
                attribute: {
                    "alone_r": found.alone[row, column],
                    "alone_interval": [found.alone_low[row, column], found.alone_high[row, column]],
                    "p": found.p[row, column],
                    "loss_r": found.loss[row, column],
                    "loss_interval": [found.loss_low[row, column], found.loss_high[row, column]],
                    "explained": found.explained[row, column],
                    "latency_ms": 1e3 * found.latency_s[row, column],
                    "latency_interval_ms": [
                        1e3 * found.latency_low_s[row, column],
                        1e3 * found.latency_high_s[row, column],
                    ],
                }
                for column, attribute in enumerate(found.attributes)
            },
        }
    by_attribute = {
        attribute: {
            "all_electrodes_r": found.together[column],
            "best": [found.channels[place] for place in np.argsort(-found.alone[:, column], kind="stable")[:3]],
            "electrodes_that_tell": int(np.count_nonzero(found.p[:, column] <= LEVEL_P)),
            "p": float(found.p[:, column].min()),
        }
        for column, attribute in enumerate(found.attributes)
    }
    numbers: dict[str, Any] = rounded({"by_attribute": by_attribute, "by_electrode": by_electrode})
    return numbers


def choice_numbers(choice: Choice) -> dict[str, Any]:
    """Return the selection as plain numbers."""
    everything = choice.everything
    numbers: dict[str, Any] = rounded(
        {
            "score": choice.kind,
            "order": list(choice.order),
            "agreement": list(choice.agreement),
            "curve": [{"n": int(p.at), "score": p.score, "interval": [p.low, p.high]} for p in choice.curve],
            "all": None
            if everything is None
            else {"n": int(everything.at), "score": everything.score, "interval": [everything.low, everything.high]},
            "headsets": {p.name: {"score": p.score, "interval": [p.low, p.high]} for p in choice.headsets},
        }
    )
    return numbers
