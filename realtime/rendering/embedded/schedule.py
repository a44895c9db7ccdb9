"""The noise levels that the few-step generator passes through."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from configs.render import MAX_STEPS

if TYPE_CHECKING:
    from torch import Tensor

Level = TypeVar("Level", float, "Tensor")

# Large smooth shapes outlast much noise, so steps are crowded at the noisy end (Esser et al., 2024, section 5.3.2).
SHIFT = 3.0


def noise_levels(steps: int) -> list[float]:
    """Return the noise level at the start of each step, from 1 (pure noise) downwards: ``[1.0, 0.9, 0.75, 0.5]`` for 4.

    A level ``s`` means a picture ``(1 - s) * clean + s * noise``.

    Raises
    ------
    ValueError
        If `steps` is less than 1 or more than any setting allows.
    """
    if not 1 <= steps <= MAX_STEPS:
        msg = f"steps is {steps}: a picture takes 1 to {MAX_STEPS}"
        raise ValueError(msg)
    return [shifted(1 - k / steps) for k in range(steps)]


def shifted(level: Level) -> Level:
    """Return evenly spaced noise levels moved towards the noisy end."""
    return SHIFT * level / (1 + (SHIFT - 1) * level)
