"""What pictures differ in: class, hue, texture, brightness, contrast, and whatever a manifest tells of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from configs.errors import InputError
from stimuli.picture_features import LUMINANCE, image_statistics, texture_energy

if TYPE_CHECKING:
    from configs.schema import Config
    from stimuli.picture_set import PictureSet

Array = NDArray[np.float64]
Kind = Literal["categorical", "continuous", "circular"]
Embed = Callable[[Sequence[NDArray[np.uint8]]], NDArray[np.floating[Any]]]
Progress = Callable[[int, int], None]

SIZE = 64
"""Side in pixels at which pictures are measured."""
MOST_LEVELS = 12
FEWEST_OF_A_LEVEL = 5
MOST_CLUSTERS = 8
_SAMPLE = 2000
_NOT_SEEN = frozenset({"seed", "caption", "superclass", "hue_deg"})
"""Columns that are no attribute of their own: how a picture was made, or what is measured under another name."""


@dataclass(frozen=True)
class Attribute:
    """One thing that pictures differ in.

    Attributes
    ----------
    name
        Such as ``"hue"``.
    kind
        ``"categorical"``, ``"continuous"``, or ``"circular"`` (degrees).
    values
        ``[pictures]``: int64 places in `levels`, or float64 numbers.
    pictures
        Whose values they are.
    levels
        Names of the levels: the categories; what a low and a high number mean; or hues around the circle.
    """

    name: str
    kind: Kind
    values: NDArray[Any]
    pictures: tuple[str, ...]
    levels: tuple[str, ...]

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.pictures)}

    def of(self, names: Iterable[str]) -> NDArray[Any]:
        """Return the value of each trial's picture, ``[trials]``.

        Raises
        ------
        InputError
            If a picture has none.
        """
        try:
            rows = [self._places[str(name)] for name in names]
        except KeyError as error:
            msg = f"attribute {self.name!r} is not known of picture {error.args[0]!r}: measure the set that was shown"
            raise InputError(msg) from None
        chosen: NDArray[Any] = self.values[rows]
        return chosen

    def design(self, names: Iterable[str]) -> Array:
        """Return the columns that stand for this attribute in a regression, ``[trials, columns]``, centred.

        Categories are one column each, 1 for a trial of it and 0 otherwise before centring; numbers have a standard
        deviation of one; a circular value is its cosine and sine.
        """
        values = self.of(names)
        if self.kind == "categorical":
            columns = (values[:, None] == np.arange(len(self.levels))).astype(np.float64)
        elif self.kind == "circular":
            angle = np.deg2rad(values)
            columns = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        else:
            columns = values[:, None] / max(float(values.std()), 1e-12)
        centred: Array = columns - columns.mean(axis=0)
        return centred


def class_attribute(classes: Sequence[str]) -> Attribute:
    """Return the class of trials that are named by their class, as where another program showed the pictures."""
    levels = tuple(dict.fromkeys(classes))
    return Attribute("class", "categorical", np.arange(len(levels)), levels, levels)


def shown_attributes(
    config: Config,
    names: Iterable[str],
    embed: Embed | None = None,
    columns: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> list[Attribute]:
    """Return what the pictures differ in; their class alone where markers tell no more than that.

    Parameters
    ----------
    config
        Picture set, classes of the markers, and the seed of clusters and cross-validation.
    names
        The pictures that were shown.
    embed
        Turns RGB pictures into embeddings ``[n, dims]``; without it there are no clusters.
    columns
        Columns of the set's manifest to take; all that can serve when left out.
    progress
        Called with how many pictures were measured and of how many.
    """
    if config.markers.classes:
        return [class_attribute(list(config.markers.classes.values()))]
    from stimuli.pictures import open_pictures

    return measure_attributes(open_pictures(config.pictures), names, embed, columns, config.fit.seed, progress)


def measure_attributes(
    pictures: PictureSet,
    names: Iterable[str],
    embed: Embed | None = None,
    columns: Sequence[str] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Attribute]:
    """Measure what pictures differ in, from their pixels and from what the set tells.

    The class is the set's label where there are few, else its superclass where it tells one, else a Ward cluster of the
    grey pictures' embeddings: without colour, as in Fei et al. (arXiv 2404.01250), so that class is not hue again.
    Where concepts have several pictures each, concepts are clustered, by the mean over their pictures.

    Parameters
    ----------
    pictures
        Set that has the pictures.
    names
        Pictures that were shown; repeats count once.
    embed
        Turns RGB pictures into embeddings ``[n, dims]``; without it there are no clusters.
    columns
        Columns of the manifest to use, in place of what is measured under the same name; all others that can serve
        when left out.
    seed
        Seed of the sample on which the number of clusters is chosen.
    progress
        Told how many pictures are measured and of how many.

    Returns
    -------
    Class first, then hue, texture, brightness and contrast, then the columns. What does not vary is left out.

    Raises
    ------
    InputError
        If a column that was asked for cannot serve.
    """
    shown = tuple(dict.fromkeys(str(name) for name in names))
    images = []
    for done, name in enumerate(shown):
        if progress is not None:
            progress(done, len(shown))
        images.append(pictures.image(name, SIZE))
    found = [_class(pictures, shown, images, embed, seed), *_measured(shown, images)]
    taken = {attribute.name for attribute in found if attribute is not None}
    known = [pictures.attributes(name) for name in shown]
    offered = dict.fromkeys(key for each in known for key in each)
    for key in offered if columns is None else columns:
        column = attribute_of_column(key, shown, [each.get(key) for each in known])
        if columns is None and (key in _NOT_SEEN or key in taken):
            continue
        if column is None and columns is not None:
            msg = f"column {key!r} cannot serve: it must be given for every picture shown, and vary"
            raise InputError(msg)
        # What was asked for takes the place of what is measured under its name.
        found = [each for each in found if each is None or column is None or each.name != column.name] + [column]
    return [attribute for attribute in found if attribute is not None and len(np.unique(attribute.values)) > 1]


def attribute_of_column(name: str, pictures: tuple[str, ...], cells: Sequence[Any]) -> Attribute | None:
    """Return what a column of a manifest tells, or None where it cannot serve.

    Numbers are continuous, and degrees where the name ends with ``_deg``; anything else is a category. A column serves
    if no cell is empty and, for categories, there are 2 to 12 of at least 5 pictures each.

    Parameters
    ----------
    name
        Name of the column.
    pictures
        The pictures, one a cell.
    cells
        Values of the column, as they stand in the manifest.
    """
    if any(cell is None or cell == "" for cell in cells):
        return None
    try:
        numbers = np.array([float(cell) for cell in cells])
    except (TypeError, ValueError):
        return _categories(name, pictures, [str(cell) for cell in cells])
    if not np.isfinite(numbers).all() or np.ptp(numbers) == 0:
        return None
    if name.endswith("_deg"):
        return Attribute(name.removesuffix("_deg"), "circular", numbers % 360, pictures, _hues())
    return Attribute(name, "continuous", numbers, pictures, (f"low {name}", f"high {name}"))


def ward_clusters(embeddings: NDArray[np.floating[Any]], seed: int = 0) -> NDArray[np.int64]:
    """Return each row's cluster, ``[n]``, numbered from the largest; their number has the best silhouette.

    Ward 1963, "Hierarchical grouping to optimize an objective function", on dimensions scaled to a variance of one;
    Rousseeuw 1987, "Silhouettes". Numbers of clusters in which one is smaller than 5 are not considered.

    Parameters
    ----------
    embeddings
        ``[n, dims]``.
    seed
        Seed of the rows that silhouettes are computed on, where there are too many for all.

    Raises
    ------
    InputError
        If there are too few pictures for two clusters.
    """
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import cdist

    std = embeddings.std(axis=0, dtype=np.float64)
    scaled = (embeddings - embeddings.mean(axis=0)) / np.where(std > 0, std, 1.0)
    tree = linkage(scaled, "ward") if len(scaled) > 1 else np.zeros((0, 4))
    sample = np.random.default_rng(seed).permutation(len(scaled))[:_SAMPLE]
    distances = cdist(scaled[sample], scaled[sample])
    best, chosen = -np.inf, None
    for count in range(2, min(MOST_CLUSTERS, len(scaled) // FEWEST_OF_A_LEVEL) + 1):
        clusters = fcluster(tree, count, "maxclust") - 1
        if np.bincount(clusters).min() < FEWEST_OF_A_LEVEL:
            continue
        score = silhouette(distances, clusters[sample])
        if score > best:
            best, chosen = score, clusters
    if chosen is None:
        msg = f"{len(scaled)} pictures do not fall into clusters of at least {FEWEST_OF_A_LEVEL}: show more pictures"
        raise InputError(msg)
    rank = np.argsort(np.argsort(-np.bincount(chosen), kind="stable"))
    numbered: NDArray[np.int64] = rank[chosen]
    return numbered


def silhouette(distances: Array, clusters: NDArray[np.int64]) -> float:
    """Return the mean silhouette of clusters: how much nearer a row is to its own than to the next one, -1 to 1.

    Parameters
    ----------
    distances
        ``[n, n]``, zero on the diagonal.
    clusters
        ``[n]``; rows that are alone in their cluster count as 0 (Rousseeuw 1987).
    """
    member = (clusters[:, None] == np.unique(clusters)).astype(np.float64)
    size = member.sum(axis=0)
    sums = distances @ member
    own = (sums * member).sum(axis=1) / np.maximum(member @ size - 1, 1)
    other = np.where(member > 0, np.inf, sums / size).min(axis=1)
    score = np.where(member @ size > 1, (other - own) / np.maximum(np.maximum(own, other), 1e-12), 0.0)
    return float(score.mean())


def _class(
    pictures: PictureSet, shown: tuple[str, ...], images: list[NDArray[np.uint8]], embed: Embed | None, seed: int
) -> Attribute | None:
    labels = [pictures.label(name) for name in shown]
    told = [pictures.attributes(name).get("superclass") for name in shown]
    for cells in (labels, told):
        if all(cells) and (found := _categories("class", shown, [str(cell) for cell in cells])) is not None:
            return found
    if embed is None or len(shown) < 2 * FEWEST_OF_A_LEVEL:
        return None
    grey = [np.repeat((image @ LUMINANCE)[..., None], 3, axis=2).round().astype(np.uint8) for image in images]
    embeddings = embed(grey)
    concepts, places = np.unique(labels, return_inverse=True)
    if 2 * FEWEST_OF_A_LEVEL <= len(concepts) <= len(shown) // 2:
        means = np.array([embeddings[places == place].mean(axis=0) for place in range(len(concepts))])
        clusters = ward_clusters(means, seed)[places]
    else:
        clusters = ward_clusters(embeddings, seed)
    names = tuple(_cluster_name(number, clusters, labels) for number in range(int(clusters.max()) + 1))
    return Attribute("class", "categorical", clusters, shown, names)


def _cluster_name(number: int, clusters: NDArray[np.int64], labels: Sequence[str]) -> str:
    """Name a cluster after the labels that are most over-represented in it."""
    inside = np.array(labels)[clusters == number]
    names, counts = np.unique(inside, return_counts=True)
    share = counts / np.array([labels.count(str(name)) for name in names])
    order = np.lexsort((-counts, -share))
    return f"cluster {number + 1} ({', '.join(names[order[:2]])}, ...)"


def _measured(shown: tuple[str, ...], images: list[NDArray[np.uint8]]) -> list[Attribute]:
    from stimuli.drawn.colour import object_hue

    statistics = np.array([image_statistics(image)[:2] for image in images])
    hue = np.array([object_hue(image) for image in images])
    return [
        Attribute("hue", "circular", hue, shown, _hues()),
        Attribute("texture", "continuous", np.array(list(map(texture_energy, images))), shown, ("smooth", "textured")),
        Attribute("brightness", "continuous", statistics[:, 0], shown, ("dark", "bright")),
        Attribute("contrast", "continuous", statistics[:, 1], shown, ("low contrast", "high contrast")),
    ]


def _categories(name: str, pictures: tuple[str, ...], cells: Sequence[str]) -> Attribute | None:
    levels, values, counts = np.unique(cells, return_inverse=True, return_counts=True)
    if not 2 <= len(levels) <= MOST_LEVELS or counts.min() < FEWEST_OF_A_LEVEL:
        return None
    return Attribute(name, "categorical", values.astype(np.int64), pictures, tuple(map(str, levels)))


def _hues() -> tuple[str, ...]:
    """Return names of the hues at 0, 90, 180 and 270 degrees."""
    from stimuli.drawn.colour import hue_name

    return tuple(hue_name(angle) for angle in (0.0, 90.0, 180.0, 270.0))
