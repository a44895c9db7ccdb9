"""Picture sets: the drawn set, any folder of pictures, the THINGS trees, and none, all seen through one interface."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from stimuli.bids_stimuli import open_bids
from stimuli.drawn.manifest import calibration_pictures, picture_hash, recipe_hash, test_pictures
from stimuli.picture_files import open_folder, open_things
from stimuli.picture_set import SPLITS, PictureError, PictureSet, Split

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from configs.schema import PictureSettings
    from stimuli.drawn.picture import DrawnPicture


class DrawnSet:
    """Pictures rendered by code: nothing is stored but their parameters.

    Parameters
    ----------
    pictures
        The parameters of each picture by name.
    """

    def __init__(self, pictures: Mapping[str, DrawnPicture]) -> None:
        self._pictures = dict(pictures)
        self._hashes: dict[str, str] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Names in the manifest's order."""
        return tuple(self._pictures)

    def image(self, name: str, size: int | None = None) -> NDArray[np.uint8]:
        """Return a picture, uint8 ``[size, size, 3]``, rendered at `size` pixels, or at its own size.

        Raises
        ------
        PictureError
            If the set has no such picture.
        """
        picture = self._find(name)
        return picture.render() if size is None else picture.render(size)

    def label(self, name: str) -> str:
        """Return the concept that a picture shows."""
        return self._find(name).concept

    def attributes(self, name: str) -> Mapping[str, Any]:
        """Return the parameters that determine a picture, with its superclass and caption."""
        picture = self._find(name)
        return asdict(picture) | {"superclass": picture.superclass, "caption": picture.caption}

    def hash(self, name: str) -> str:
        """Return the SHA-256 of a picture's pixels at its own size."""
        if name not in self._hashes:
            self._hashes[name] = picture_hash(self.image(name))
        return self._hashes[name]

    def recipe(self, name: str) -> str:
        """Return the SHA-256 of all that a picture is drawn from: its parameters, and what draws it."""
        return recipe_hash(self._find(name))

    def _find(self, name: str) -> DrawnPicture:
        try:
            return self._pictures[name]
        except KeyError:
            msg = f"the drawn set has no picture {name!r}; its names look like {next(iter(self._pictures), 'none')!r}"
            raise PictureError(msg) from None


def open_pictures(settings: PictureSettings, split: Split = "all") -> PictureSet:
    """Return the pictures that the settings name.

    Parameters
    ----------
    settings
        Which set, where it lies, and the seed of the split where the set comes without one.
    split
        ``"calibration"``, ``"test"`` or ``"all"``.

    Raises
    ------
    PictureError
        If the folder or the manifest cannot be used, or the split, but for the test, is empty; of ``labels`` only
        ``"all"`` can be opened, and is empty.

    Examples
    --------
    >>> from configs.schema import PictureSettings
    >>> pictures = open_pictures(PictureSettings(), "test")
    >>> name = pictures.names[0]
    >>> pictures.label(name), pictures.image(name, 64).shape
    ('face', (64, 64, 3))
    """
    if split not in SPLITS:
        msg = f"unknown split {split!r}: choose one of {', '.join(SPLITS)}"
        raise PictureError(msg)
    if settings.set == "drawn":
        return _drawn(split)
    if settings.set == "labels":
        if split != "all":
            msg = "pictures.set labels has no pictures to show; choose drawn, folder or things"
            raise PictureError(msg)
        return DrawnSet({})
    if settings.folder is None:
        msg = f"picture set {settings.set!r} needs a folder"
        raise PictureError(msg)
    if settings.set == "things":
        return open_things(settings.folder, split, settings.seed)
    if settings.set == "bids":
        return open_bids(settings.folder, split, settings.seed)
    return open_folder(settings.folder, split, settings.seed)


def choose_pictures(pictures: PictureSet, count: int, seed: int) -> tuple[str, ...]:
    """Return names drawn at random, every concept as often as any other, or once less.

    Parameters
    ----------
    pictures
        The set to draw from.
    count
        How many names.
    seed
        Seed of the draw; the same set, count and seed give the same names in the same order.

    Raises
    ------
    PictureError
        If the set has fewer pictures.

    Examples
    --------
    >>> from configs.schema import PictureSettings
    >>> pictures = open_pictures(PictureSettings())
    >>> names = choose_pictures(pictures, 4, seed=0)
    >>> len({pictures.label(name) for name in names})
    4
    """
    if not 0 < count <= len(pictures.names):
        msg = f"cannot choose {count} pictures: the set has {len(pictures.names)}"
        raise PictureError(msg)
    rng = np.random.default_rng(seed)
    by_concept: dict[str, list[str]] = {}
    for index in rng.permutation(len(pictures.names)):
        name = pictures.names[index]
        by_concept.setdefault(pictures.label(name), []).append(name)
    # Deal one picture of each concept a round, so that stopping anywhere leaves the concepts balanced.
    rounds = max(len(names) for names in by_concept.values())
    dealt = [names[k] for k in range(rounds) for names in by_concept.values() if k < len(names)]
    return tuple(dealt[:count])


@cache
def _drawn(split: Split) -> DrawnSet:
    chosen: tuple[DrawnPicture, ...] = ()
    if split != "test":
        chosen += calibration_pictures()
    if split != "calibration":
        chosen += test_pictures()
    return DrawnSet({f"{picture.concept.replace(' ', '-')}-{picture.seed:04d}": picture for picture in chosen})
