"""What each trial should decode to: the embedding of its picture, the mean embedding of its class, or its label."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.errors import FitError
from configs.schema import Config
from realtime.decoding.gallery import Gallery
from realtime.spaces import LABELS, EmbeddingSpace

logger = logging.getLogger(__name__)

_SCALE_PICTURES = 200


@dataclass(frozen=True)
class Targets:
    """Embeddings by name, in one space.

    Attributes
    ----------
    gallery
        What a decoded embedding is compared with.
    space
        Which embedding it is.
    """

    gallery: Gallery
    space: EmbeddingSpace

    def of(self, names: NDArray[np.str_]) -> NDArray[np.float32]:
        """Return the target ``[trials, dims]`` of each trial.

        Raises
        ------
        FitError
            If a name has no embedding.
        """
        places = {name: place for place, name in enumerate(self.gallery.names)}
        unknown = sorted({str(name) for name in names} - places.keys())
        if unknown:
            shown = ", ".join(repr(name) for name in unknown[:3])
            msg = f"{len(unknown)} of the pictures shown have no embedding, such as {shown}; check the picture set"
            raise FitError(msg)
        chosen: NDArray[np.float32] = self.gallery.embeddings[[places[str(name)] for name in names]]
        return chosen

    def scaled_by(self, names: NDArray[np.str_]) -> Targets:
        """Return the targets compared on the scale of the pictures `names`, each counted once."""
        mean, std = _scale(self.of(np.unique(names)))
        return replace(self, gallery=replace(self.gallery, mean=mean, std=std))


def make_targets(config: Config, shown: NDArray[np.str_]) -> Targets:
    """Return the targets that the settings ask for.

    Without classes there is one entry a picture: those shown, and the set's test pictures. With classes there
    is one a class: the mean over the pictures whose concept is the class's name, on the scale of the whole set; where
    the set is ``labels``, contrasts between the classes.

    Parameters
    ----------
    config
        The session's settings.
    shown
        Names of the pictures shown, as often as they were.

    Raises
    ------
    FitError
        If a class is not a concept of the picture set, or a picture shown is not in it.
    """
    from calibration.data.embeddings import DRAWN_MODEL, load_encoder
    from stimuli.pictures import DrawnSet, choose_pictures, open_pictures

    classes = tuple(dict.fromkeys(config.markers.classes.values()))
    if config.pictures.set == LABELS:
        return label_targets(classes)
    pictures = open_pictures(config.pictures, "all")
    labels = {name: pictures.label(name) for name in pictures.names}
    wanted_encoder = (config.fit.model, config.fit.pretrained, config.fit.encoder_weights)
    encoder = load_encoder(*wanted_encoder, download=config.fit.download)
    if encoder.space.model == DRAWN_MODEL and config.pictures.set != "drawn":
        logger.warning(
            "the encoder %s knows drawn pictures only: of photographs it tells little; set fit.model, such as ViT-H-14",
            DRAWN_MODEL,
        )

    def embed(names: Sequence[str]) -> NDArray[np.float32]:
        if isinstance(pictures, DrawnSet):  # to draw them all, only to see that they are known, takes longer than a fit
            keys = [pictures.recipe(name) for name in names]
            return encoder.embed_cached(keys, lambda place: pictures.image(names[place]), cache_folder())
        return encoder.embed_images_cached([pictures.image(name) for name in names], cache_folder())

    if classes:
        _refuse_unknown(classes, tuple(dict.fromkeys(labels.values())), "class", "markers.classes: use its concepts")
        centres = [embed([name for name in pictures.names if labels[name] == label]).mean(axis=0) for label in classes]
        sample = choose_pictures(pictures, min(_SCALE_PICTURES, len(pictures.names)), config.fit.seed)
        mean, std = _scale(embed(sample))
        return Targets(Gallery(classes, classes, np.stack(centres), mean, std, classes=True), encoder.space)
    seen = set(map(str, shown))
    _refuse_unknown(sorted(seen), pictures.names, "picture", "set pictures to the set that was shown")
    wanted = seen | set(open_pictures(config.pictures, "test").names)
    names = tuple(name for name in pictures.names if name in wanted)
    return given_targets(names, [labels[name] for name in names], embed(names), encoder.space)


def label_targets(labels: Sequence[str]) -> Targets:
    """Return targets of labels that stand for no pictures: deviation contrasts, one dimension a label.

    A trial's own label has 1 − 1/n, each of the n − 1 others −1/n, so that what is decoded says of every label how much
    more than usual speaks for it.

    Raises
    ------
    FitError
        If there are fewer than two.

    Examples
    --------
    >>> label_targets(["low", "high"]).gallery.embeddings.tolist()
    [[0.5, -0.5], [-0.5, 0.5]]
    """
    if len(labels) < 2:
        msg = f"pictures.set labels tells apart the labels in markers.classes: name at least two, not {len(labels)}"
        raise FitError(msg)
    contrasts = (np.eye(len(labels)) - 1 / len(labels)).astype(np.float32)
    mean, std = _scale(contrasts)
    names = tuple(labels)
    space = EmbeddingSpace(LABELS, "contrasts", len(names))
    return Targets(Gallery(names, names, contrasts, mean, std, classes=True), space)


def _refuse_unknown(wanted: Sequence[str], known: Sequence[str], what: str, advice: str) -> None:
    unknown = sorted(set(wanted) - set(known))
    if unknown:
        some = ", ".join(map(repr, unknown[:3]))
        msg = f"the picture set has no {what} {some} (it has {known[0]!r}, ...); {advice}"
        raise FitError(msg)


def given_targets(
    names: Sequence[str], labels: Sequence[str], embeddings: NDArray[np.float32], space: EmbeddingSpace
) -> Targets:
    """Return targets from embeddings that were computed elsewhere.

    Parameters
    ----------
    names
        Pictures, one a row.
    labels
        Concept of each picture.
    embeddings
        ``[names, dims]``.
    space
        The space that they are of, kept in the bundle.
    """
    mean, std = _scale(embeddings)
    return Targets(Gallery(tuple(names), tuple(labels), embeddings, mean, std), space)


def cache_folder() -> Path:
    """Return where embeddings are kept between runs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "perceptogram"


def _scale(embeddings: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    mean, std = embeddings.mean(axis=0, dtype=np.float64), embeddings.std(axis=0, dtype=np.float64)
    return mean.astype(np.float32), std.astype(np.float32)
