"""Fits the identification head, where the settings ask for one and it pays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from calibration.errors import FitError
from calibration.heads.choosing import MOST_EPOCHS
from calibration.heads.identification import (
    FittedHead,
    HeadTargets,
    Judged,
    as_runs,
    candidate_of,
    fit_head,
    judge,
)
from calibration.model.examples import Examples, Layout
from calibration.model.linear_model import HeldOut, Mapping
from calibration.scores.retrieval import FoldGallery
from configs.schema import Config, FitSettings
from realtime.decoding.gallery import Gallery
from realtime.decoding.identification_head import IdentificationHead
from realtime.spaces import EmbeddingSpace

Part = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Identified:
    """What tells pictures apart, and how well.

    Attributes
    ----------
    head
        The second output as it runs; None where the embedding itself is compared.
    judged
        Held-out predictions of whatever is compared.
    targets
        What the head learned; None where there is none.
    record
        What the bundle says of the choice.
    """

    head: IdentificationHead | None
    judged: Judged
    targets: HeadTargets | None
    record: dict[str, Any]


def fit_identification(
    examples: Examples,
    layout: Layout,
    config: Config,
    gallery: Gallery,
    space: EmbeddingSpace,
    fitted: tuple[Mapping, HeldOut],
    progress: Part | None = None,
) -> Identified:
    """Return what tells pictures apart: the first head's embedding, or a contrastive head.

    Where the settings leave the choice, it is made on folds of all trials; length and penalty of the training are
    chosen in each fold of the scores, on its training trials alone.

    Parameters
    ----------
    examples
        Trials with the first head's targets.
    layout
        Where window and baseline lie.
    config
        `fit.identification` and what belongs to it, and where the pictures are.
    gallery, space
        The first head's pictures and embedding.
    fitted
        The first head, and its held-out predictions.
    progress
        Told how many epochs are done, and of how many at most.

    Raises
    ------
    FitError
        If a head is wanted for classes, or layers for pictures that are not there.
    """
    mapping, held_out = fitted
    settings = config.fit
    compared = FoldGallery.of(gallery, [each.likelihood for each in held_out.comparisons])
    same = Judged(held_out.predicted, examples.names, held_out.folds, compared, gallery.names)
    if settings.identification == "same" or (settings.identification == "auto" and gallery.told_apart):
        return Identified(None, same, None, {"chosen": "same"})
    if gallery.told_apart:
        msg = (
            f"fit.identification: contrastive tells many pictures apart, and here there are {len(gallery.names)} "
            "classes or pictures: set it to same"
        )
        raise FitError(msg)
    targets = head_targets(config, gallery, space)
    count = _Counting(settings, 1 + len(np.unique(held_out.folds)), progress)
    head = fit_head(examples, targets, layout, settings, candidate_of(mapping), mapping.alpha, count.tell)
    record = {"targets": targets.said, "head": str(head.choice)}
    if settings.identification == "auto" and not head.choice.pays:
        return Identified(None, same, None, record | {"chosen": "same"})
    judged = judge(examples, targets, layout, settings, held_out, head.embeddings, count.tell)
    return Identified(as_runs(head, targets), judged, targets, record | {"chosen": head.choice.kind} | _sizes(head))


def head_targets(config: Config, gallery: Gallery, space: EmbeddingSpace) -> HeadTargets:
    """Return what the head learns: the gallery's embeddings, or layers of an image tower.

    Parameters
    ----------
    config
        Which tower and layers, and where the pictures are.
    gallery, space
        The first head's pictures and embedding.
    """
    settings = config.fit
    if not settings.identification_layers and settings.identification_model is None:
        return HeadTargets(gallery, gallery.embeddings[None], str(space))
    from calibration.data.layers import picture_layers

    layers, said = picture_layers(config, gallery.names)
    return HeadTargets(gallery, layers, said)


def _sizes(head: FittedHead) -> dict[str, int]:
    units = 0 if head.residual is None else len(head.residual.hidden_bias)
    return {"dims": head.embeddings.shape[1], "hidden_units": units}


class _Counting:
    """Tells how many epochs are done, of as many as there can be."""

    def __init__(self, settings: FitSettings, fits: int, progress: Part | None) -> None:
        self._total = fits * (len(settings.identification_decay) + 1) * MOST_EPOCHS
        self._done, self._progress = 0, progress

    def tell(self) -> None:
        """Count one epoch."""
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, self._total)
