"""Which electrodes, and when, carry what the pictures differ in: one map an attribute, with its statistics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.maps.attributes import Attribute
from calibration.maps.cluster_test import LEVEL_P, ClusterTest, cluster_test
from calibration.maps.comparison import Comparison, compare
from calibration.maps.forward_model import ForwardModel, forward_model, mean_std, patterns, reading
from calibration.maps.montage import Montage
from calibration.maps.readout import Units
from calibration.model.examples import Examples, Layout
from calibration.model.linear_model import cross_validate
from calibration.progress import Part, Progress, part_of
from configs.schema import FitSettings

Array = NDArray[np.float64]

SPAN_S = (0.0, 0.6)
"""Begin and end, in seconds after onset, of what is mapped; the filters' delay is taken out."""
PEAK_CHANNELS = 3


@dataclass(frozen=True)
class AttributeMap:
    """What an attribute does to the EEG; patterns are ``[levels, times, channels]`` in microvolts.

    Attributes
    ----------
    attribute
        What is mapped.
    counts
        How many units each level has; empty where levels are points on a scale.
    measured
        Each level's difference from the mean of all, other attributes taken out.
    filtered
        Each level's difference in the latent-filtered EEG; None without a decoder.
    decoder
        Haufe's patterns of reading the attribute from the decoded embedding; None without a decoder.
    test
        Where the measured difference is more than chance.
    peak
        Sample and electrodes where the levels differ most, among the significant ones where there are any.
    variance_explained
        Share of variance of held-out units that the attribute predicts at the peak, what others explain taken out.
    compared
        What was compared, in words.
    """

    attribute: Attribute
    counts: tuple[int, ...]
    measured: Array
    filtered: Array | None
    decoder: Array | None
    test: ClusterTest
    peak: tuple[int, tuple[int, ...]]
    variance_explained: float
    compared: str = "pictures"

    @property
    def significant(self) -> bool:
        """Whether the attribute makes a difference anywhere."""
        return self.test.p < LEVEL_P


@dataclass(frozen=True)
class Maps:
    """The maps of one calibration.

    Attributes
    ----------
    attributes
        One map each.
    times_s
        ``[times]`` after onset, the filters' delay taken out.
    montage
        The electrodes.
    units
        What was averaged, without samples: ``"pictures"`` or ``"trials"``.
    n_units, n_trials
        How many of them, made of how many trials.
    model
        The forward model from embeddings; None where there are none.
    ceiling
        ``[times, channels]``: share of variance that any model could explain; None without repeats.
    left_out
        One line for each attribute that could not be mapped.
    simulated
        Whether a simulated participant made the EEG.
    """

    attributes: tuple[AttributeMap, ...]
    times_s: Array
    montage: Montage
    units: str
    n_units: int
    n_trials: int
    model: ForwardModel | None = None
    ceiling: Array | None = None
    left_out: tuple[str, ...] = ()
    simulated: bool = False

    def numbers(self) -> dict[str, dict[str, Any]]:
        """Return the headline numbers of each attribute; what nothing significant stands behind is None."""
        return {each.attribute.name: self._numbers_of(each) for each in self.attributes}

    def _numbers_of(self, found: AttributeMap) -> dict[str, Any]:
        time, channels = found.peak
        return {
            "peak_latency_ms": round(1e3 * float(self.times_s[time]), 1) if found.significant else None,
            "peak_channels": [self.montage.channels[place] for place in channels] if found.significant else None,
            "cluster_p": round(found.test.p, 5),
            "variance_explained": round(found.variance_explained, 4),
            "statistic": found.test.name,
            "permutations": found.test.permutations,
            "levels": list(found.attribute.levels),
            "compared": found.compared,
        }


def level_rows(attribute: Attribute, names: NDArray[np.str_]) -> Array:
    """Return each level's place in the columns of the attribute's design, ``[levels, columns]``.

    A category is compared with all units together, a number is one standard deviation below or above its mean, and a
    circular value stands at 0, 90, 180 and 270 degrees.
    """
    if attribute.kind == "categorical":
        values = attribute.of(names)
        shares = np.bincount(values, minlength=len(attribute.levels)) / len(values)
        rows: Array = np.eye(len(attribute.levels)) - shares
        return rows
    if attribute.kind == "circular":
        return np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    return np.array([[-1.0], [1.0]])


def make_maps(
    units: Units,
    times_s: Array,
    channels: Sequence[str],
    attributes: Sequence[Attribute],
    embeddings: NDArray[np.floating[Any]] | None = None,
    settings: FitSettings | None = None,
    progress: Progress | None = None,
    concepts: NDArray[np.str_] | None = None,
) -> Maps:
    """Map every attribute, each adjusted for the others, as `calibration.maps.comparison` compares it.

    Parameters
    ----------
    units
        Pictures' mean windows, or trials.
    times_s
        ``[times]`` after onset, the filters' delay taken out.
    channels
        Names of the electrodes.
    attributes
        What is mapped.
    embeddings
        ``[units, dims]`` of what was shown, for forward model, latent-filtered EEG and the decoder's patterns.
    settings
        Alphas, folds, whitening, permutations and seed.
    progress
        Told what is being done, how many parts of it are done, and of how many.
    concepts
        ``[units]``: what each unit's picture shows; None where nobody knows.
    """
    settings = settings or FitSettings()
    montage = Montage.of(channels)
    model, decoded = None, None
    if embeddings is not None:
        decoded = decode_held_out(units, times_s, embeddings, settings, part_of(progress, "decoding what was held out"))
        if progress is not None:
            progress("forward model", 0, 1)
        model = forward_model(embeddings, units.samples, units.folds, settings.alphas, decoded)
    found, left_out = [], []
    for attribute in attributes:
        rest = [other for other in attributes if other is not attribute]
        comparison = compare(units, attribute, rest, concepts)
        tell = part_of(progress, f"shuffling {attribute.name}")
        try:
            mapped = _map(units, attribute, comparison, montage, settings, tell)
        except ValueError as error:
            left_out.append(f"no map of {attribute.name}: {error}")
            continue
        if model is not None and model.filtered is not None and decoded is not None and embeddings is not None:
            mapped = _seen_by_decoder(mapped, units, model.filtered, decoded, embeddings, comparison)
        found.append(mapped)
    return Maps(tuple(found), times_s, montage, units.what, len(units), units.n_trials, model, left_out=tuple(left_out))


def decode_held_out(
    units: Units,
    times_s: Array,
    embeddings: NDArray[np.floating[Any]],
    settings: FitSettings,
    progress: Part | None = None,
) -> NDArray[np.float32]:
    """Return the embedding decoded from each unit by a map, whitening and all, that never saw its fold.

    Parameters
    ----------
    units
        Pictures or trials ``[units, times, channels]``, µV, baseline subtracted.
    times_s
        ``[times]``, seconds after onset.
    embeddings
        ``[units, dims]``: the targets.
    settings
        Alphas, folds and seed of the map; repeats are not averaged here.
    progress
        Called with how many folds are done and of how many.

    Returns
    -------
    ``[units, dims]``.
    """
    samples = units.samples.astype(np.float32)
    everything = np.ones(len(units), np.bool_)
    examples = Examples(samples, embeddings, units.folds, units.names, everything)
    layout = Layout(0, np.zeros(samples.shape[1]), times_s)  # the baseline is subtracted already
    return cross_validate(examples, layout, settings.model_copy(update={"average_repeats": False}), progress).predicted


def _map(
    units: Units,
    attribute: Attribute,
    comparison: Comparison,
    montage: Montage,
    settings: FitSettings,
    progress: Part | None,
) -> AttributeMap:
    regression = comparison.regression(units.samples)
    permutations = max(settings.permutations, 20)
    test = cluster_test(regression, montage.neighbours, permutations, settings.seed, progress, units.in_step)
    measured = np.tensordot(level_rows(attribute, units.names), regression.slopes(), axes=1)
    peak = find_peak(measured, test.significant)
    counts: tuple[int, ...] = ()
    if attribute.kind == "categorical":
        counts = tuple(np.bincount(attribute.of(units.names), minlength=len(attribute.levels)).tolist())
    share = comparison.share_explained(units.samples, peak[0], peak[1][0])
    return AttributeMap(attribute, counts, measured, None, None, test, peak, share, comparison.what)


def find_peak(measured: Array, significant: NDArray[np.bool_]) -> tuple[int, tuple[int, ...]]:
    """Return the sample at which levels differ most over all electrodes, and the electrodes that differ most there.

    Where anything is significant, the sample is one at which something is, and the electrodes are those that are.
    """
    energy = np.sum(measured**2, axis=0)
    inside = energy * significant if significant.any() else energy
    time = int(np.where(inside.any(axis=1), energy.sum(axis=1), 0.0).argmax())
    order = np.argsort(-inside[time], kind="stable")[:PEAK_CHANNELS]
    return time, tuple(int(place) for place in order if inside[time, place] > 0)


def _seen_by_decoder(
    mapped: AttributeMap,
    units: Units,
    filtered: NDArray[np.float32],
    decoded: NDArray[np.float32],
    embeddings: NDArray[np.floating[Any]],
    comparison: Comparison,
) -> AttributeMap:
    """Return the map with the patterns of what the decoder reads.

    The attribute is read from decoded embeddings by the regression that best reads it from the true ones.
    """
    attribute, design = mapped.attribute, mapped.attribute.design(units.names)
    rows = level_rows(attribute, units.names)
    slopes = comparison.regression(filtered).slopes()
    mean, std = mean_std(embeddings)
    true, seen = (embeddings - mean) / std, (decoded - mean) / std
    read = seen @ reading(true, design)
    haufe = np.tensordot(rows, patterns(units.samples, read), axes=1)
    return replace(mapped, filtered=np.tensordot(rows, slopes, axes=1), decoder=haufe)
