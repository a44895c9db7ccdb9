"""From a bundle and recordings to maps: trials through the live path, attributes of what was shown, and the control."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.data.reading import read_windows
from calibration.data.targets import Targets, cache_folder
from calibration.data.trials import Trials
from calibration.errors import FitError
from calibration.maps.attributes import Attribute, Embed, shown_attributes
from calibration.maps.forward_model import noise_ceiling
from calibration.maps.maps import SPAN_S, Maps, make_maps
from calibration.maps.readout import Units, make_units
from calibration.model.examples import Examples, Layout, make_examples
from calibration.model.folding import subtract_baseline
from calibration.progress import Progress, part_of
from configs.schema import Config
from realtime.decoding.bundle import Bundle

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Mapped:
    """What was recorded, and its maps.

    Attributes
    ----------
    maps
        One map an attribute.
    pre_stimulus_p
        Each attribute's cluster p in the pre-stimulus windows, as a control; empty where there are too few.
    trials, targets, attributes, config
        What the maps were made from; the settings are those that the bundle was fitted with.
    """

    maps: Maps
    pre_stimulus_p: dict[str, float]
    trials: Trials
    targets: Targets
    attributes: tuple[Attribute, ...]
    config: Config

    def numbers(self) -> dict[str, dict[str, Any]]:
        """Return the headline numbers of each attribute, the control beside them."""
        return {
            name: row | {"pre_stimulus_cluster_p": self.pre_stimulus_p.get(name)}
            for name, row in self.maps.numbers().items()
        }


def map_recordings(
    bundle: Bundle,
    recordings: Sequence[str | Path],
    config: Config,
    columns: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> Mapped:
    """Return the maps of recordings, and what they were made from.

    Parameters
    ----------
    bundle
        The map whose window, filters and gallery the recordings are read with.
    recordings
        Files of the stream that the bundle was fitted for.
    config
        Picture set, markers, and the seed and permutations of ``fit``; what the bundle fixes replaces the rest.
    columns
        Columns of the set's manifest to map as attributes; all that can serve when left out.
    progress
        Called with the stage, how many of its parts are done and of how many.

    Raises
    ------
    BundleError
        If the recordings' stream, filters or window do not fit the bundle.
    FitError
        If the recordings hold too few usable trials, or pictures that the bundle does not know.
    """
    config = bundle.completed(config)
    windows = read_windows(recordings, config, part_of(progress, "reading"), like=bundle.spec)
    trials, earlier = windows.trials, windows.pre_stimulus
    bundle.check_stream(trials.spec, trials.filters, trials.rate_hz, len(trials.times_s), float(trials.times_s[0]))
    targets = Targets(bundle.gallery, bundle.space)
    measuring = part_of(progress, "measuring pictures")
    attributes = tuple(shown_attributes(config, trials.names, _embedder(bundle, config), columns, measuring))
    found = map_trials(trials, targets, attributes, config, progress)
    earlier = earlier.take(np.isin(earlier.names, bundle.gallery.names))
    control = control_p(earlier, targets, attributes, config, progress)
    return Mapped(found, control, trials, targets, attributes, config)


def map_trials(
    trials: Trials,
    targets: Targets,
    attributes: Sequence[Attribute],
    config: Config,
    progress: Progress | None = None,
) -> Maps:
    """Return the maps of trials over `calibration.maps.maps.SPAN_S`.

    Parameters
    ----------
    trials
        Epochs that reach over that span as far as there is something to map.
    targets
        The embeddings of the pictures that were shown.
    attributes
        What to map; each becomes one map with its cluster test.
    config
        Window, baseline, and folds, seed and permutations of ``fit``.
    progress
        Called with the stage, how many of its parts are done and of how many.

    Raises
    ------
    FitError
        If there are too few trials.
    """
    units, times_s, examples, layout = units_of(trials, targets, config, SPAN_S)
    embeddings = targets.of(units.names)
    concepts = concepts_of(units.names, targets)
    maps = make_maps(units, times_s, trials.spec.channels, attributes, embeddings, config.fit, progress, concepts)
    inside = _inside(trials, SPAN_S)
    taught = examples.take(examples.teaches)
    ceiling = None
    if units.what == "pictures":
        single = subtract_baseline(taught.samples, layout.baseline, 0)[:, inside]
        ceiling = noise_ceiling(single, taught.names)
    return replace(maps, ceiling=ceiling, simulated=trials.simulated)


def control_p(
    earlier: Trials,
    targets: Targets,
    attributes: Sequence[Attribute],
    config: Config,
    progress: Progress | None = None,
) -> dict[str, float]:
    """Return each attribute's cluster p on pre-stimulus windows, which end at onset; empty where there are too few.

    Parameters
    ----------
    earlier
        Epochs of the pre-stimulus windows, each named by the picture that follows it.
    targets
        The embeddings of those pictures.
    attributes
        The attributes that the maps are of.
    config
        Settings of the maps, so that the control is tested as they are.
    progress
        Called with the stage, how many of its parts are done and of how many.
    """
    moved = config.model_copy(update={"window": config.window.pre_stimulus(earlier.rate_hz)})
    try:
        units, times_s, _, _ = units_of(earlier, targets, moved, None)
    except FitError:
        return {}
    concepts = concepts_of(units.names, targets)
    found = make_maps(units, times_s, earlier.spec.channels, attributes, None, config.fit, progress, concepts)
    return {each.attribute.name: round(each.test.p, 5) for each in found.attributes}


def units_of(
    trials: Trials, targets: Targets, config: Config, span_s: tuple[float, float] | None
) -> tuple[Units, Array, Examples, Layout]:
    """Return units cut to a span after onset, their times less the filters' delay, and what they were made of.

    Parameters
    ----------
    trials
        Epochs; those that are flagged are left out.
    targets
        The embeddings of the pictures that were shown.
    config
        Window, baseline and folds.
    span_s
        First and last time after onset to keep, in seconds, the filters' delay taken out; None keeps all.

    Returns
    -------
    Units, their times ``[times]`` in seconds, and the examples and layout that they were made of.

    Raises
    ------
    FitError
        If there are fewer than 20 units or fewer than two names.
    """
    examples = make_examples(trials, targets, config)
    layout = Layout.of(trials.times_s, config.window.start_s, config.window.baseline_s)
    if len(np.unique(trials.names)) < 2 or examples.teaches.sum() < 20:
        msg = f"{int(examples.teaches.sum())} usable trials of {len(np.unique(trials.names))} names: too few for maps"
        raise FitError(msg)
    units = make_units(examples, layout, config.fit, whole=True)
    inside = np.ones(len(trials.times_s), np.bool_) if span_s is None else _inside(trials, span_s)
    times_s = trials.times_s - trials.delay_s
    return replace(units, samples=units.samples[:, inside]), times_s[inside], examples, layout


def concepts_of(names: NDArray[np.str_], targets: Targets) -> NDArray[np.str_]:
    """Return what each picture shows, ``[names]``."""
    labels = dict(zip(targets.gallery.names, targets.gallery.labels, strict=True))
    return np.array([labels[str(name)] for name in names])


def _inside(trials: Trials, span_s: tuple[float, float]) -> NDArray[np.bool_]:
    times_s = trials.times_s - trials.delay_s
    half = 0.5 / trials.rate_hz
    inside: NDArray[np.bool_] = (times_s >= span_s[0] - half) & (times_s <= span_s[1] + half)
    return inside


def _embedder(bundle: Bundle, config: Config) -> Embed:
    """Return what embeds pictures in the bundle's space; the encoder is loaded only when it is needed."""
    space, fit = bundle.space, config.fit
    file = fit.encoder_weights if (fit.model, fit.pretrained) == (space.model, space.pretrained) else None

    def embed(images: Sequence[NDArray[np.uint8]]) -> NDArray[Any]:
        from calibration.data.embeddings import load_encoder

        encoder = load_encoder(space.model, space.pretrained, file, download=fit.download)
        return encoder.embed_images_cached(images, cache_folder())

    return embed
