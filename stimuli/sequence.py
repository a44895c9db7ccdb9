"""The order in which pictures are shown: rapid serial visual presentation, counterbalanced, seeded and resumable.

As in THINGS-EEG2 (Gifford et al., 2022): short sequences of pictures at a fixed rate, with a rare target to keep
attention. Slow presentation is the same plan with other times.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import TypeAdapter

from configs.errors import InputError
from configs.files import read_text, write_whole

if TYPE_CHECKING:
    from configs.schema import StimulusSettings

SCHEMA = 1
TARGET = "target"
"""Name under which the rare target appears in a plan; it is drawn by the presenter and belongs to no picture set."""


class PlanError(InputError):
    """A plan that cannot be made or read; one line says why."""

    about = "pictures"


@dataclass(frozen=True)
class Trial:
    """One picture to show.

    Attributes
    ----------
    index
        Number of the trial, the same before and after an abort.
    picture
        Name of the picture, or `TARGET`.
    block, sequence
        Numbers from 0; breaks lie between blocks, short rests between sequences.
    is_target
        Whether this is the rare target, which is not decoded.
    """

    index: int
    picture: str
    block: int
    sequence: int
    is_target: bool = False


@dataclass(frozen=True)
class Plan:
    """Everything that determines what is shown and when, apart from the pictures themselves.

    Attributes
    ----------
    trials
        In order.
    on_s, onset_to_onset_s, pause_s
        How long a picture stays, from one onset to the next, and the rest between sequences.
    seed
        Seed of the order.
    """

    trials: tuple[Trial, ...]
    on_s: float
    onset_to_onset_s: float
    pause_s: float
    seed: int

    @property
    def pictures(self) -> tuple[str, ...]:
        """Names of the pictures, each once, in order of first appearance."""
        return tuple(dict.fromkeys(trial.picture for trial in self.trials if not trial.is_target))

    @property
    def sequences(self) -> tuple[tuple[Trial, ...], ...]:
        """The trials of each sequence."""
        grouped: dict[int, list[Trial]] = {}
        for trial in self.trials:
            grouped.setdefault(trial.sequence, []).append(trial)
        return tuple(tuple(trials) for trials in grouped.values())

    @property
    def duration_s(self) -> float:
        """How long showing it takes, without the breaks between blocks."""
        return len(self.trials) * self.onset_to_onset_s + len(self.sequences) * self.pause_s


def plan(
    names: Sequence[str], settings: StimulusSettings, *, repeats: int = 1, blocks: int = 1, seed: int | None = None
) -> Plan:
    """Return an order in which each picture is shown `repeats` times.

    Every picture is shown once before any is shown again, and no picture follows itself. A picture that came in the
    first half of its sequence comes in a second half the next time, as far as the numbers allow.

    Parameters
    ----------
    names
        Pictures, each once.
    settings
        Times, length of a sequence, and how many targets a sequence has on average.
    repeats
        How often each picture is shown.
    blocks
        Into how many blocks of whole sequences the session is divided.
    seed
        Seed of the order; the settings' own when left out.

    Raises
    ------
    PlanError
        If there is no picture, one is given twice or is called like the target, or repeats cannot be kept apart.

    Examples
    --------
    >>> from configs.schema import StimulusSettings
    >>> planned = plan(("cat", "dog", "house"), StimulusSettings(), repeats=2, seed=0)
    >>> sorted(trial.picture for trial in planned.trials if not trial.is_target)
    ['cat', 'cat', 'dog', 'dog', 'house', 'house']
    """
    chosen_seed = settings.seed if seed is None else seed
    _check(names, repeats, blocks)
    rng = np.random.default_rng(chosen_seed)
    length = settings.sequence_length
    order = _passes(list(names), repeats, length, rng)
    n_sequences = -(-len(order) // length)
    n_blocks = min(blocks, n_sequences)
    trials: list[Trial] = []
    for sequence in range(n_sequences):
        shown = order[sequence * length : (sequence + 1) * length]
        block = sequence * n_blocks // n_sequences
        for name in _with_targets(shown, settings.targets_per_sequence, rng):
            trials.append(Trial(len(trials), name, block, sequence, name == TARGET))
    return Plan(tuple(trials), settings.on_s, settings.onset_to_onset_s, settings.pause_s, chosen_seed)


def resume(planned: Plan, done: Collection[int]) -> Plan:
    """Return what is left of a plan when the trials with the numbers in `done` have been shown.

    Trials keep their numbers, so that what is recorded before and after an abort fits together.
    """
    shown = frozenset(done)
    return replace(planned, trials=tuple(trial for trial in planned.trials if trial.index not in shown))


def save_plan(planned: Plan, path: Path) -> None:
    """Write a plan as JSON lines: times and seed, then one trial a line. The file appears whole or not at all."""
    head = {key: value for key, value in asdict(planned).items() if key != "trials"}
    lines = [json.dumps({"schema": SCHEMA} | head), *(json.dumps(asdict(trial)) for trial in planned.trials)]
    write_whole(path, "\n".join(lines) + "\n")


def load_plan(path: Path) -> Plan:
    """Return the plan in a file written by `save_plan`.

    Raises
    ------
    PlanError
        If it cannot be read or is not a plan.
    """
    try:
        first, *rest = read_text(path, "plan", PlanError).splitlines()
        head = json.loads(first)
        if (found := head.pop("schema")) != SCHEMA:
            msg = f"schema {found}, where {SCHEMA} is known"
            raise ValueError(msg)
        return TypeAdapter(Plan).validate_python(head | {"trials": [json.loads(line) for line in rest]})
    except PlanError:
        raise
    except OSError as error:
        msg = f"cannot read plan {path}: {error.strerror or error}"
        raise PlanError(msg) from error
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        msg = f"{path} is not a plan of trials ({' '.join(str(error).split())})"
        raise PlanError(msg) from error


def _check(names: Sequence[str], repeats: int, blocks: int) -> None:
    if not names:
        msg = "cannot plan without pictures"
        raise PlanError(msg)
    if len(set(names)) < len(names):
        double = next(name for name in names if list(names).count(name) > 1)
        msg = f"picture {double!r} is given twice: give each once and set repeats"
        raise PlanError(msg)
    if TARGET in names:
        msg = f"a picture is called {TARGET!r}, the name of the attention target: rename it"
        raise PlanError(msg)
    if repeats < 1 or blocks < 1:
        msg = f"repeats ({repeats}) and blocks ({blocks}) must be at least 1"
        raise PlanError(msg)
    if len(names) == 1 and repeats > 1:
        msg = f"one picture cannot be shown {repeats} times without following itself: give two or more"
        raise PlanError(msg)


def _passes(names: list[str], repeats: int, length: int, rng: np.random.Generator) -> list[str]:
    """Return `repeats` shuffled passes through the names, counterbalanced, nothing twice in a row."""
    order: list[str] = []
    was_early: dict[str, bool] = {}
    for _ in range(repeats):
        slots = np.arange(len(order), len(order) + len(names)) % length
        early_slots = slots < length / 2
        shuffled = [names[index] for index in rng.permutation(len(names))]
        # Who came late goes first in line for the early slots; the sort is stable, so chance decides the rest.
        shuffled.sort(key=lambda name: was_early.get(name, False))
        n_early = int(early_slots.sum())
        early, late = _shuffle(shuffled[:n_early], rng), _shuffle(shuffled[n_early:], rng)
        passing = [early.pop() if is_early else late.pop() for is_early in early_slots]
        if order and passing[0] == order[-1]:
            # Swap with a later one, of the same half where there is one, so that the balance holds.
            others = [k for k in range(1, len(passing)) if early_slots[k] == early_slots[0]]
            swap = int(rng.choice(others or np.arange(1, len(passing))))
            passing[0], passing[swap] = passing[swap], passing[0]
        was_early = dict(zip(passing, early_slots.tolist(), strict=True))
        order += passing
    return order


def _shuffle(names: list[str], rng: np.random.Generator) -> list[str]:
    return [names[index] for index in rng.permutation(len(names))]


def _with_targets(shown: list[str], mean: float, rng: np.random.Generator) -> list[str]:
    """Return a sequence with, `mean` of the time, one target somewhere after its second picture."""
    if len(shown) < 3 or rng.uniform() >= mean:
        return shown
    place = int(rng.integers(2, len(shown)))
    return [*shown[:place], TARGET, *shown[place:]]
