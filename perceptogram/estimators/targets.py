"""Embeddings of the pictures that were shown, as a fit takes them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from calibration.data.targets import Targets, make_targets
from configs.schema import Config


def picture_targets(config: Config, shown: ArrayLike) -> Targets:
    """Return what each trial should decode to, and the gallery that it is compared with.

    ``targets.of(shown)`` is `y` of `EmbeddingRegressor.fit`, ``targets.gallery`` its gallery, ``targets.space`` that of
    `EmbeddingRegressor.to_bundle`.

    Parameters
    ----------
    config
        Picture set and encoder, or the classes of the markers.
    shown
        ``[trials]``: name of the picture, or class, of each trial.

    Raises
    ------
    configs.errors.InputError
        If a picture is not in the set.
    """
    names = np.asarray(shown, dtype=np.str_)
    targets = make_targets(config, names)
    return targets if config.markers.classes else targets.scaled_by(names)
