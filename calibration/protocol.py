"""The protocol of one person on pictures that were never learned from: from their own EEG, and from that of others.

Everything in a map comes from the training pictures: alpha, whitening, re-standardisation. What a map of other people
is aligned by is the new person's EEG at training pictures, with no word of which. The test pictures are in no map,
nobody's: a picture that others saw in training, and that is then told from its repeats, would be recognised and not
decoded.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from calibration.data.presentations import Presentations
from calibration.data.targets import given_targets
from calibration.errors import FitError
from calibration.heads.identification import HeadTargets, candidate_of, fit_head
from calibration.model.earlier import Earlier
from calibration.model.examples import Examples, Layout
from calibration.model.folding import LinearMap
from calibration.model.from_sources import map_of_sources
from calibration.model.linear_model import Mapping, fit_map
from calibration.model.remembering import remember
from calibration.progress import Share
from calibration.scores.identification import by_repeats
from calibration.statistics import rounded
from calibration.transport import Transport, transport
from configs.files import whole_folder, write_whole
from configs.schema import Config, FitSettings
from realtime.decoding.bundle_record import MemoryRecord
from realtime.decoding.gallery import Gallery
from realtime.decoding.memory import Memory, read_memory
from realtime.spaces import EmbeddingSpace

LearnedFrom = Literal["averages", "single trials"]

STOP_S = 0.8
"""End of the window, in seconds after onset."""
_VERSION = 1
"""Version of what is kept between runs; what another wrote is made again."""


@dataclass(frozen=True)
class Tables:
    """Embeddings of the pictures.

    Attributes
    ----------
    training, test
        float32 ``[pictures, dims]``, in the order of the pictures' numbers.
    space
        Name of the embedding space.
    layers
        float32 ``[layers, pictures, dims]`` of training and then of test pictures: what a contrastive head learns; the
        embeddings when left out.
    """

    training: NDArray[np.float32]
    test: NDArray[np.float32]
    space: str = "given"
    layers: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        """Refuse pictures that are in both parts: they would be recognised by their repeats."""
        known = {row.tobytes() for row in self.training}
        twice = [place for place, row in enumerate(self.test) if row.tobytes() in known]
        if twice:
            msg = (
                f"{len(twice)} test pictures, such as number {twice[0] + 1}, have the embedding of a training picture: "
                "a picture that was learned from would be recognised, not decoded; leave it out of one part"
            )
            raise FitError(msg)

    @property
    def gallery(self) -> Gallery:
        """The test pictures, as they are searched."""
        names = [f"test-{place:05d}" for place in range(len(self.test))]
        return given_targets(names, names, self.test, EmbeddingSpace(self.space, "given", self.test.shape[1])).gallery

    @property
    def of_head(self) -> HeadTargets:
        """What a contrastive head learns, of all pictures; the training ones come first."""
        names = [*training_names(np.arange(len(self.training))).tolist(), *self.gallery.names]
        every = np.concatenate([self.training, self.test])
        targets = given_targets(names, names, every, EmbeddingSpace(self.space, "given", every.shape[1]))
        return HeadTargets(targets.gallery, every[None] if self.layers is None else self.layers, self.space)

    @cached_property
    def mark(self) -> str:
        """What tells these tables from others."""
        layers = b"" if self.layers is None else self.layers.tobytes()
        return hashlib.sha256(self.training.tobytes() + self.test.tobytes() + layers).hexdigest()


def training_names(pictures: NDArray[np.int64]) -> NDArray[np.str_]:
    """Return the names of training pictures by their numbers."""
    return np.array([f"training-{number:05d}" for number in pictures], dtype=np.str_)


class People(Protocol):
    """Where the EEG of several people comes from."""

    def mark(self, subject: str) -> str:
        """Return what the EEG of `subject` depends on: with the same mark it is the same."""
        ...

    def read(self, subject: str) -> tuple[Presentations, Presentations]:
        """Return what was learned from, and what is tested on."""
        ...


@dataclass(frozen=True)
class Plan:
    """What is scored, and where what is done so far is kept.

    Attributes
    ----------
    people
        Where the EEG comes from.
    subjects
        Whose it is.
    tables
        The pictures.
    settings
        Alphas, folds, whitening, seed.
    learned_from
        Whether maps learn from the mean of each picture's repeats, from single trials, or once from each.
    across
        Whether each person is decoded by a map of the others as well.
    folder
        Where scores are kept, so that a run that was cut off goes on.
    """

    people: People
    subjects: tuple[str, ...]
    tables: Tables
    settings: FitSettings
    learned_from: tuple[LearnedFrom, ...]
    across: bool
    folder: Path

    def key(self, subjects: Sequence[str], how: LearnedFrom) -> str:
        """Return what scores of these people are kept under: another wherever anything behind them is another."""
        marks = [self.people.mark(subject) for subject in subjects]
        told = [_VERSION, self.settings.model_dump(mode="json"), self.tables.mark, how, *marks]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]

    def memory(self, subject: str, how: LearnedFrom) -> Path:
        """Return the folder of what the map of one person remembers."""
        return self.folder / "memories" / f"{subject}-{self.key([subject], how)}"


def within(subject: str, plan: Plan, tell: Share = lambda _: None) -> list[dict[str, Any]]:
    """Return rows of scores of one person's maps on their own test pictures, and of the window before onset.

    Parameters
    ----------
    subject
        The person.
    plan
        Everything else.
    tell
        Told which share of the maps is fitted.

    Raises
    ------
    FitError
        If a file cannot be read or does not fit the embeddings.
    """
    rows = []
    for number, how in enumerate(plan.learned_from):
        file = plan.folder / "scores" / f"{subject}-own-{plan.key([subject], how)}.json"
        kept = plan.memory(subject, how)
        if not file.exists() or (plan.across and not kept.exists()):

            def tell_all(share: float, number: int = number) -> None:
                tell((number + share) / len(plan.learned_from))

            write_whole(file, json.dumps(_within(subject, plan, how, kept, tell_all)))
        rows += json.loads(file.read_text(encoding="utf-8"))
    return rows


def across(subject: str, plan: Plan, tell: Share = lambda _: None) -> list[dict[str, Any]]:
    """Return rows of scores of the other people's map on one person's test pictures, aligned and not.

    Parameters
    ----------
    subject
        The person; `within` must have been run for the others.
    plan
        Everything else.
    tell
        Told which share of the maps is begun.
    """
    others = [other for other in plan.subjects if other != subject]
    rows = []
    for number, how in enumerate(plan.learned_from):
        tell(number / len(plan.learned_from))
        file = plan.folder / "scores" / f"{subject}-others-{plan.key([subject, *others], how)}.json"
        if not file.exists():
            write_whole(file, json.dumps(_across(subject, others, plan, how)))
        rows += json.loads(file.read_text(encoding="utf-8"))
    return rows


def _within(subject: str, plan: Plan, how: LearnedFrom, kept: Path, tell: Share) -> list[dict[str, Any]]:
    learned, tested = _checked(subject, plan)
    gallery, settings = plan.tables.gallery, plan.settings
    after = inside(learned.times_s)
    mapping, examples, layout = _learn(learned, after, plan, settings, how, tell)
    about = {"channels": len(learned.channels), "n_learned": len(examples), "alpha": mapping.alpha}
    compared = replace(gallery, likelihood=mapping.comparison.likelihood)
    rows = _rows(subject, "own", how, mapping.map.predict, tested, after, compared, settings, about)
    if settings.identification != "same":
        rows += _by_head(subject, plan, how, (mapping, examples, layout), tested, after)
    before = learned.times_s < -1e-6
    if how == plan.learned_from[0] and np.count_nonzero(before) > 1:
        null, _, _ = _learn(learned, before, plan, settings.moved(-STOP_S), how)
        compared = replace(gallery, likelihood=null.comparison.likelihood)
        rows += _rows(subject, "before onset", how, null.map.predict, tested, before, compared, settings, {})[-1:]
    if plan.across:
        _keep(remember(examples, np.zeros(len(examples), np.int64), layout, mapping, Config(fit=settings)), kept)
    return rows


def _across(subject: str, others: Sequence[str], plan: Plan, how: LearnedFrom) -> list[dict[str, Any]]:
    learned, tested = _checked(subject, plan)
    gallery, settings = plan.tables.gallery, plan.settings
    after = inside(learned.times_s)
    dims = plan.tables.training.shape[1]
    memories = [_kept(plan.memory(other, how), len(learned.channels), dims) for other in others]
    layout = Layout(0, np.zeros(np.count_nonzero(after)), learned.times_s[after])
    mapping = map_of_sources(
        [Earlier(other, memory) for other, memory in zip(others, memories, strict=True)], layout, settings
    )
    about = {"channels": len(learned.channels), "learned_from_people": len(others)}
    rows = _rows(subject, "others", how, mapping.predict, tested, after, gallery, settings, about)
    count, alignment = _alignment(mapping, learned, after, plan.tables.training)
    about = about | {"aligned_on": count}

    def aligned(samples: NDArray[np.float32]) -> NDArray[np.float32]:
        return alignment.apply(mapping.predict(samples))

    return rows + _rows(subject, "others, aligned", how, aligned, tested, after, gallery, settings, about)


def _by_head(
    subject: str,
    plan: Plan,
    how: LearnedFrom,
    learned: tuple[Mapping, Examples, Layout],
    tested: Presentations,
    keep: NDArray[np.bool_],
) -> list[dict[str, Any]]:
    """Return the rows of the contrastive head, which say whether it would be chosen where the settings leave that."""
    mapping, examples, layout = learned
    targets, settings = plan.tables.of_head, plan.settings
    head = fit_head(examples, targets, layout, settings, candidate_of(mapping), mapping.alpha)
    dims = head.embeddings.shape[1]
    gallery = replace(
        plan.tables.gallery,
        embeddings=head.embeddings[len(plan.tables.training) :],
        mean=np.zeros(dims, np.float32),
        std=np.ones(dims, np.float32),
    )
    about = {"channels": len(tested.channels), "n_learned": len(examples), "pays": head.choice.pays}
    return _rows(subject, "own, contrastive", how, head.predict, tested, keep, gallery, settings, about)


def inside(times_s: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which times ``[times]`` are in the window."""
    after: NDArray[np.bool_] = (times_s >= -1e-6) & (times_s < STOP_S - 1e-6)
    return after


def _checked(subject: str, plan: Plan) -> tuple[Presentations, Presentations]:
    learned, tested = plan.people.read(subject)
    if learned.channels != tested.channels or not np.array_equal(learned.times_s, tested.times_s):
        msg = f"subject {subject}: training and test differ in channels or times"
        raise FitError(msg)
    if not inside(learned.times_s).any():
        msg = f"subject {subject}: no sample between 0 and {STOP_S:g} s after onset"
        raise FitError(msg)
    return learned, tested


def _learn(
    part: Presentations,
    keep: NDArray[np.bool_],
    plan: Plan,
    settings: FitSettings,
    how: LearnedFrom,
    tell: Share = lambda _: None,
) -> tuple[Mapping, Examples, Layout]:
    """Return the map of one person, what it was fitted on, and where its window lies."""
    table = plan.tables.training
    samples, pictures = part.means(keep, len(table)) if how == "averages" else part.singles(keep)
    names = training_names(pictures)
    examples = Examples(samples, table[pictures], names, names, np.ones(len(pictures), np.bool_))
    layout = Layout(0, np.zeros(np.count_nonzero(keep)), part.times_s[keep])
    return fit_map(examples, layout, settings, tell=tell), examples, layout


def _rows(
    subject: str,
    trained_on: str,
    how: LearnedFrom,
    predict: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    tested: Presentations,
    keep: NDArray[np.bool_],
    gallery: Gallery,
    settings: FitSettings,
    about: dict[str, Any],
) -> list[dict[str, Any]]:
    parts = [(predict(block.samples), block.pictures) for block in tested.blocks(keep)]
    predicted = np.concatenate([embeddings for embeddings, _ in parts])
    own = np.concatenate([pictures for _, pictures in parts])
    who = {"subject": subject, "trained_on": trained_on, "learned_from": how}
    found = by_repeats(predicted, own, gallery, settings.permutations, settings.seed)
    rows: list[dict[str, Any]] = rounded([who | row | about for row in found])
    return rows


def _alignment(
    mapping: LinearMap, learned: Presentations, keep: NDArray[np.bool_], table: NDArray[np.float32]
) -> tuple[int, Transport]:
    """Return how many of the new person's windows at training pictures were seen, and the alignment they give."""
    dims, count = table.shape[1], 0
    total, squares = np.zeros(dims), np.zeros((dims, dims))
    for block in learned.blocks(keep):
        embeddings = mapping.predict(block.samples[block.clean]).astype(np.float64)
        total += embeddings.sum(axis=0)
        squares += embeddings.T @ embeddings
        count += len(embeddings)
    mean = total / max(count, 1)
    covariance = squares / max(count, 1) - np.outer(mean, mean)
    pictures = table.astype(np.float64)
    return count, transport(mean, covariance, count, pictures.mean(axis=0), np.cov(pictures, rowvar=False))


def _keep(memory: Memory, folder: Path) -> None:
    with whole_folder(folder) as part:
        memory.write(part)
        (part / "memory.json").write_text(json.dumps(memory.record()), encoding="utf-8")


def _kept(folder: Path, channels: int, dims: int) -> Memory:
    told = MemoryRecord.model_validate_json((folder / "memory.json").read_text(encoding="utf-8"))
    return read_memory(folder, told, channels, dims)
