"""The maps behind the display's patterns: from a decoded embedding to attributes, and from those to electrodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from calibration.data.trials import Trials
from calibration.maps.attributes import Attribute
from calibration.maps.electrodes import LEVEL_P, explained, kernel_ridge
from calibration.maps.readout import make_units, read_out
from calibration.model.examples import Examples, Layout
from calibration.model.linear_model import HeldOut
from configs.schema import FitSettings
from realtime.decoding.filtered_patterns import PatternAttribute, Patterns

Array = NDArray[np.float64]

PERMUTATIONS = 200


def make_patterns(
    trials: Trials,
    examples: Examples,
    layout: Layout,
    held_out: HeldOut,
    attributes: Sequence[Attribute],
    settings: FitSettings,
) -> Patterns | None:
    """Return the maps for the attributes that held-out percepts tell (p ≤ 0.05); None where they tell none.

    Parameters
    ----------
    trials, examples, layout
        What was learned from.
    held_out
        Predictions of every trial by a map that never saw its group: what a live percept would have been.
    attributes
        Measured on the pictures shown.
    settings
        Folds and seed.
    """
    if not attributes:
        return None
    units = make_units(examples, layout, settings)
    decoded = _decoded(examples, held_out, settings)
    mean, scale = decoded.mean(axis=0), decoded.std(axis=0)
    scale = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 1e-12)
    x = (decoded - mean) * scale
    designs = [attribute.design(units.names) for attribute in attributes]
    found = read_out([x], designs, units, PERMUTATIONS, settings.seed, resamples=1)
    told = [place for place, p in enumerate(found.p[0]) if p <= LEVEL_P]
    if not told:
        return None
    designs = [designs[place] for place in told]
    times_s = trials.times_s[layout.start :] - trials.delay_s
    moments = [_moment(units.samples, design) for design in designs]
    answers = _answers(units.samples, designs)
    readout = np.concatenate([kernel_ridge(x, design - design.mean(axis=0)) for design in designs], axis=1)
    listed, maps, first = [], [], 0
    for place, design, moment in zip(told, designs, moments, strict=True):
        columns = slice(first, first + design.shape[1])
        first += design.shape[1]
        own = answers[columns, moment]
        limit = float(np.quantile(np.abs(x @ readout[:, columns] @ own).max(axis=1), 0.95))
        maps.append(own)
        attribute = attributes[place]
        listed.append(
            PatternAttribute(
                attribute.name, attribute.kind, attribute.levels, design.shape[1], round(float(times_s[moment]), 4),
                limit, round(float(found.r[0, place]), 4), round(float(found.p[0, place]), 4),
            )
        )  # fmt: skip
    arrays = (mean, scale, readout, np.concatenate(maps))
    return Patterns(tuple(listed), *(array.astype(np.float32) for array in arrays))


def _decoded(examples: Examples, held_out: HeldOut, settings: FitSettings) -> Array:
    """Return each unit's held-out embedding ``[units, dims]``, its trials averaged as a percept's repeats are."""
    percepts = replace(examples, samples=held_out.predicted[:, None, :])
    decoded: Array = make_units(percepts, Layout(0, np.zeros(1)), settings).samples[:, 0]
    return decoded


def _moment(samples: Array, design: Array) -> int:
    """Return the sample at which a design explains most, all electrodes taken together."""
    n, times, channels = samples.shape
    flat = samples.reshape(n, -1)
    share = explained(flat - flat.mean(axis=0), [design], np.ones(n))[0]
    return int(share.reshape(times, channels).mean(axis=1).argmax())


def _answers(samples: Array, designs: Sequence[Array]) -> Array:
    """Return what each column adds to the electrodes, ``[columns, times, channels]``, all attributes side by side.

    Fitted together, so that what two attributes share is not drawn twice.
    """
    x = np.concatenate(designs, axis=1)
    x = x - x.mean(axis=0)
    y = samples.reshape(len(samples), -1)
    answers: Array = (np.linalg.pinv(x) @ (y - y.mean(axis=0))).reshape(x.shape[1], *samples.shape[1:])
    return answers
