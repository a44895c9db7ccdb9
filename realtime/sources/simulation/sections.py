"""Second-order sections in numpy alone: scipy.signal takes longer to import than all else that a participant needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK = 32
"""Samples that one product filters at a time."""


class Sections:
    """A cascade of second-order sections, at rest at first, that carries its state from call to call.

    What comes out of a block, and the state behind it, are linear in the state before it and in the block's samples:
    one matrix each, made once.

    Parameters
    ----------
    sos
        Coefficients ``[sections, 6]``: three of the numerator and three of the denominator, of which the first is 1.
    width
        Number of channels.
    """

    def __init__(self, sos: NDArray[np.float64], width: int) -> None:
        size = 2 * len(sos)
        # How the next state and the output follow from a state and one sample, section by section (transposed form II).
        given = np.eye(size + 1)
        step, out = np.zeros((size, size + 1)), given[-1]
        for k, (b0, b1, b2, _, a1, a2) in enumerate(sos):
            into, out = out, b0 * out + given[2 * k]
            step[2 * k] = b1 * into - a1 * out + given[2 * k + 1]
            step[2 * k + 1] = b2 * into - a2 * out
        known = np.eye(size + BLOCK)
        state = known[:size]
        self._outputs = np.zeros((BLOCK, size + BLOCK))
        self._states = np.zeros((BLOCK, size, size + BLOCK))
        for n in range(BLOCK):
            before = np.vstack([state, known[size + n]])
            self._outputs[n], state = out @ before, step @ before
            self._states[n] = state
        self._state = np.zeros((size, width))

    def filter(self, samples: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the next samples, ``[times, channels]``, filtered."""
        filtered = np.empty_like(samples)
        for first in range(0, len(samples), BLOCK):
            block = samples[first : first + BLOCK]
            before = np.concatenate([self._state, block])
            filtered[first : first + BLOCK] = self._outputs[: len(block), : len(before)] @ before
            self._state = self._states[len(block) - 1, :, : len(before)] @ before
        return filtered
