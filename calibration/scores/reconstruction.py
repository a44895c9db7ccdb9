"""How much painted pictures look like those shown, by the eight scores that the field prints.

The definitions are those of Ozcelik and VanRullen (2023), Scotti et al. (2023) and Fei et al. (2024). Low level:
PixCorr and SSIM. Two-way identification by the correlation of features: AlexNet(2), AlexNet(5), Inception, CLIP. Mean
correlation distance of features, lower is better: EffNet-B and SwAV. Chance is 0.5 for two-way identification; the
others have no fixed chance level, so they are also computed with the pictures exchanged for one another.
A score whose weights are not there is None, never that of another network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from calibration.scores.feature_networks import NETWORKS, ScoreError, features_of, load_network

if TYPE_CHECKING:
    from torch import Tensor

Images = NDArray[np.uint8]
Array = NDArray[np.float64]
Measure = Callable[[NDArray[np.intp]], float]
"""From the order of the painted pictures beside the shown ones to a score."""

SIZE = 512
"""Side in pixels at which pictures are compared, as Fei et al. do."""
LOW_LEVEL = ("PixCorr", "SSIM")
LOWER_IS_BETTER = ("EffNet-B", "SwAV")
_GREY = (0.2125, 0.7154, 0.0721)


SCORES = (*LOW_LEVEL, *(score for network in NETWORKS for score in network.features))


def score_pictures(
    painted: Sequence[Images],
    shown: Sequence[Images],
    weights: Path | None = None,
    *,
    download: bool = False,
    size: int = SIZE,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Return the scores, those with the pictures exchanged, and which networks were absent.

    Parameters
    ----------
    painted, shown
        Pictures uint8 ``[height, width, 3]``, pair by pair; each one shown should be there once.
    weights
        Folder of weight files; torch hub's own where it is left out.
    download
        Whether weights that are not there are downloaded.
    size
        Side in pixels to which all pictures are brought first; SSIM and PixCorr depend on it.
    progress
        Told what is being done.

    Raises
    ------
    ScoreError
        If there are fewer than two pairs, or if weights do not fit their network.
    """
    import torch

    if len(painted) != len(shown) or len(painted) < 2:
        msg = f"{len(painted)} painted and {len(shown)} shown pictures: at least 2 pairs are needed"
        raise ScoreError(msg)
    ours, theirs = to_tensor(painted, size), to_tensor(shown, size)
    progress("pixels")
    measures: dict[str, Measure] = {
        "PixCorr": lambda order: float(correlations(flat(ours[order]), flat(theirs)).mean()),
        "SSIM": lambda order: float(np.mean([*map(structural_similarity, grey(ours[order]), grey(theirs))])),
    }
    absent = []
    with torch.inference_mode():
        for network in NETWORKS:
            progress(network.name)
            try:
                extract = load_network(network, weights, download=download)
            except FileNotFoundError as error:
                absent.append(str(error))
                continue
            given, wanted = features_of(extract, ours, network), features_of(extract, theirs, network)
            for score in network.features:
                measures[score] = _compare(network.kind, given[score], wanted[score])
    straight = np.arange(len(painted))
    return {
        "scores": {score: measures[score](straight) if score in measures else None for score in SCORES},
        # each picture beside its neighbour: what the same pictures score when they belong to others
        "exchanged": {score: measures[score](np.roll(straight, 1)) if score in measures else None for score in SCORES},
        "n_pairs": len(painted),
        "size": size,
        "lower_is_better": list(LOWER_IS_BETTER),
        "absent": absent,
    }


def to_tensor(pictures: Sequence[Images], size: int) -> Tensor:
    """Return pictures ``[n, 3, size, size]`` in 0 … 1.

    Raises
    ------
    ScoreError
        If a picture is not RGB in bytes.
    """
    import torch
    from torch.nn.functional import interpolate

    rows = []
    for number, picture in enumerate(pictures):
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
            msg = f"picture {number} is {picture.dtype} {list(picture.shape)}: give RGB as uint8 [height, width, 3]"
            raise ScoreError(msg)
        image = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 255
        rows.append(interpolate(image, (size, size), mode="bilinear", antialias=True).clamp(0, 1))
    return torch.cat(rows)


def flat(images: Tensor) -> Array:
    """Return images as rows ``[n, 3 * size * size]``."""
    return images.flatten(1).numpy().astype(np.float64)


def grey(images: Tensor) -> Array:
    """Return the luminance ``[n, size, size]`` of images."""
    luminance: Array = np.tensordot(images.numpy().astype(np.float64), np.array(_GREY), axes=(1, 0))
    return luminance


def correlations(a: Array, b: Array) -> Array:
    """Return Pearson's r ``[rows]`` of each row of `a` with that of `b`; 0 for a row that does not vary."""
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    r: Array = np.divide(np.sum(a * b, axis=1), norm, out=np.zeros(len(a)), where=norm > 1e-12)
    return r


def structural_similarity(a: Array, b: Array) -> float:
    """Return SSIM of two grey pictures in 0 … 1 (Wang et al., 2004): Gaussian weights of 1.5 pixels, 11 pixels wide."""
    from scipy.ndimage import gaussian_filter

    def mean(x: Array) -> Array:
        filtered: Array = gaussian_filter(x, 1.5, truncate=3.5)
        return filtered

    luminance, contrast = 0.01**2, 0.03**2
    mean_a, mean_b = mean(a), mean(b)
    var_a, var_b, both = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2, mean(a * b) - mean_a * mean_b
    top = (2 * mean_a * mean_b + luminance) * (2 * both + contrast)
    bottom = (mean_a**2 + mean_b**2 + luminance) * (var_a + var_b + contrast)
    # the filter reaches over the edge in the outermost five pixels
    return float((top / bottom)[5:-5, 5:-5].mean())


def two_way(painted: Array, shown: Array) -> float:
    """Return the share of other shown pictures that correlate less with a painted one than its own does."""
    n = len(painted)
    r = np.corrcoef(shown, painted)[:n, n:]
    return float(np.sum(r < np.diag(r), axis=0).mean() / (n - 1))


def _compare(kind: str, painted: Array, shown: Array) -> Measure:
    if kind == "two-way":
        return lambda order: two_way(painted[order], shown)
    return lambda order: float(np.mean(1 - correlations(painted[order], shown)))
