"""Fits the low-level map: from EEG to the latent of the picture's layout, by way of its principal components.

The same procedure as for the embedding (whitening, ridge, re-standardisation, folding) with other targets. The
components are those of the latents of the pictures shown; like the embedding space they belong to what is predicted,
not to the map.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.errors import FitError
from calibration.model.examples import Examples, Layout
from calibration.model.linear_model import cross_validate, fit_map
from calibration.scores.picture_null import null_of_pictures
from calibration.scores.summary import summarise
from calibration.statistics import rounded
from configs.schema import Config
from realtime.decoding.gallery import Gallery
from realtime.decoding.low_level_map import LowLevelMap
from realtime.spaces import LATENT_SPACES

BATCH = 8

Encode = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Components:
    """Principal components of latents.

    Attributes
    ----------
    axes
        float32 ``[rank, 4, h, w]``, orthonormal.
    mean
        float32 ``[4, h, w]``.
    coordinates
        float32 ``[pictures, rank]`` of the latents they were made from.
    explained
        Share of the latents' variance in them.
    """

    axes: NDArray[np.float32]
    mean: NDArray[np.float32]
    coordinates: NDArray[np.float32]
    explained: float


def fit_low_level(
    examples: Examples, layout: Layout, config: Config, progress: Callable[[int, int], None] | None = None
) -> tuple[LowLevelMap, dict[str, Any]]:
    """Return the map and its cross-validated scores, identification among the pictures by their coordinates.

    Parameters
    ----------
    examples
        Trials of pictures; their targets are not used.
    layout
        Where window and baseline lie.
    config
        `fit.low_level_rank`, and the generator whose autoencoder and size the latents have.
    progress
        Told how many pictures have their latents, and of how many.

    Raises
    ------
    FitError
        If the generator paints from no latents, or the trials show classes in place of pictures.
    """
    from realtime.rendering.generators.latent import LatentGenerator
    from realtime.rendering.generators.make import make_generator
    from stimuli.pictures import open_pictures

    settings = config.render
    generator = make_generator(settings)
    if not isinstance(generator, LatentGenerator):
        msg = (
            f"fit.low_level_rank: the {settings.generator} generator does not start from latents; set render.generator "
            f"to {', '.join(LATENT_SPACES)}, or the rank to 0"
        )
        raise FitError(msg)
    if config.markers.classes:
        msg = "fit.low_level_rank: markers.classes name no pictures, whose layout could be learnt; set the rank to 0"
        raise FitError(msg)
    names = tuple(map(str, np.unique(examples.names)))
    pictures = open_pictures(config.pictures, "all")
    encode = generator.load_encoder()
    latents = picture_latents(names, lambda name: pictures.image(name, settings.pixels), encode, progress)
    components = principal_components(latents, config.fit.low_level_rank)
    places = {name: place for place, name in enumerate(names)}
    own = np.array([places[str(name)] for name in examples.names])
    taught = replace(examples, targets=components.coordinates[own])
    # A layout is looked at, not identified: what counts is its error.
    by_error = config.fit.model_copy(update={"choose": "error"})
    held_out = cross_validate(taught, layout, by_error)
    # compared as layouts are: the large components count for what they are
    rank = components.coordinates.shape[1]
    gallery = Gallery(names, names, components.coordinates, np.zeros(rank, np.float32), np.ones(rank, np.float32))
    permutations, chance = config.fit.permutations, None
    if permutations:
        chance = null_of_pictures(taught, own, gallery, layout, by_error, held_out)
    found = summarise(
        held_out.predicted, examples.names, held_out.folds, gallery, permutations, config.fit.seed, chance
    )
    kept = ("two_way", "two_way_interval", "chance", "p", "correlation", "n_pictures")
    scores = {key: found[key] for key in kept if key in found}
    scores |= {"rank": rank, "latent_variance_explained": components.explained}
    fitted = fit_map(taught, layout, by_error).map
    space = LATENT_SPACES[settings.generator]
    return LowLevelMap(fitted.weights, fitted.bias, components.axes, components.mean, space), rounded(scores)


def picture_latents(
    names: Sequence[str],
    load: Callable[[str], NDArray[np.uint8]],
    encode: Encode,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32]:
    """Return the latents ``[names, 4, h, w]`` of pictures, of which a few are loaded at a time.

    Parameters
    ----------
    names
        Pictures, one a row.
    load
        From a name to the picture, uint8 ``[size, size, 3]``.
    encode
        From pictures to their latents, as the autoencoder makes them.
    progress
        Called with how many pictures are done and of how many.
    """
    latents = []
    for first in range(0, len(names), BATCH):
        if progress is not None:
            progress(first, len(names))
        latents.append(encode(np.stack([load(name) for name in names[first : first + BATCH]])))
    return np.concatenate(latents)


def principal_components(latents: NDArray[np.float32], rank: int) -> Components:
    """Return the first `rank` principal components of latents ``[pictures, 4, h, w]``, or as many as there are.

    Pictures are fewer than values, so the components come from the pictures' products (Turk and Pentland, 1991).

    Raises
    ------
    FitError
        If all latents are the same.
    """
    mean = latents.mean(axis=0, dtype=np.float64)
    centred = (latents - mean).reshape(len(latents), -1).astype(np.float64)
    variances, vectors = np.linalg.eigh(centred @ centred.T)
    order = np.argsort(variances)[::-1][:rank]
    order = order[variances[order] > 1e-9 * max(float(variances.max()), 1e-30)]
    if not len(order):
        msg = f"the layouts of all {len(latents)} pictures are the same: there is nothing to learn; set the rank to 0"
        raise FitError(msg)
    axes = (vectors[:, order] / np.sqrt(variances[order])).T @ centred
    coordinates = centred @ axes.T
    return Components(
        axes.reshape(len(order), *latents.shape[1:]).astype(np.float32),
        mean.astype(np.float32),
        coordinates.astype(np.float32),
        float(variances[order].sum() / variances.clip(min=0).sum()),
    )
