"""Answers before a window ends: what is still to come of it is predicted from what was seen.

The noise of an epoch has the covariance ``C ⊗ S``, over time and over channels. What is to be expected of the rest of a
window is then a mix over time alone, the same in every channel,

    E[rest | seen] = mean[rest] + C[rest, seen] C[seen, seen]⁻¹ (seen - mean[seen])

so one small matrix completes the window, whatever map and however many columns are then applied to it. A map that
reads answers ``a`` by the weights ``(C ⊗ S)⁻¹ a`` becomes in this way the one that reads the seen part of ``a`` best.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from configs.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from configs.schema import EvidenceSettings
    from realtime.decoding.bundle_record import EarlyRecord
    from realtime.decoding.linear_decoder import WindowWeights

EARLY_FILE = "early_answers.safetensors"


@dataclass(frozen=True, eq=False)
class EarlyAnswer:
    """How a window is answered at one time.

    Attributes
    ----------
    at_s
        The time, in seconds after onset.
    mean_input
        float32 ``[times, channels]``: the mean window in microvolts.
    completion
        float32 ``[times, seen]``: what makes a whole window of what was seen, both about the mean window.
    share
        What the answer is worth beside one of a whole window, as evidence: 0 nothing, 1 as much.
    """

    at_s: float
    mean_input: NDArray[np.float32]
    completion: NDArray[np.float32]
    share: float

    @property
    def seen(self) -> int:
        """How many samples of the window were seen by then."""
        return int(self.completion.shape[1])

    def whole(self, seen: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the windows ``[..., times, channels]`` that are to be expected of ``[..., seen, channels]``."""
        window: NDArray[np.float32] = self.mean_input + self.completion @ (seen - self.mean_input[: self.seen])
        return window

    def decode(self, by: WindowWeights, seen: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the embedding ``[dims]`` of a window of which ``[seen, channels]`` was seen so far."""
        return by.apply(self.whole(seen))


@dataclass(frozen=True, eq=False)
class EarlyAnswers:
    """What a session needs to answer before a window ends.

    Attributes
    ----------
    noise
        float32 ``[times, times]``: covariance of the noise over time, in any unit.
    at_s
        Times, in seconds after onset, at which answers to held-out trials were judged; between them is interpolated.
    stretch
        For each of these, what brings an answer to the usual length of one from a whole window.
    share
        For each, see `EarlyAnswer`.
    """

    noise: NDArray[np.float32]
    at_s: tuple[float, ...]
    stretch: tuple[float, ...]
    share: tuple[float, ...]

    def at(self, at_s: float, mean_input: NDArray[np.float32], first_s: float, rate_hz: float) -> EarlyAnswer:
        """Return how a window is answered at one time.

        Parameters
        ----------
        at_s
            The time, in seconds after onset.
        mean_input
            ``[times, channels]``: the map's mean window.
        first_s, rate_hz
            Time of the window's first sample, and the rate of its samples.

        Raises
        ------
        InputError
            If the time is not inside the window.
        """
        seen = round(at_s * rate_hz) - round(first_s * rate_hz)
        if not 1 <= seen < len(self.noise):
            stop_s = first_s + len(self.noise) / rate_hz
            msg = f"evidence.answer_at_s: {at_s:g} s is not inside the window, from {first_s:g} to {stop_s:g} s"
            raise InputError(msg)
        stretch = float(np.interp(at_s, self.at_s, self.stretch))
        completion = (stretch * expectation(self.noise, seen)).astype(np.float32)
        return EarlyAnswer(at_s, mean_input, completion, float(np.interp(at_s, self.at_s, self.share)))

    def record(self) -> dict[str, Any]:
        """Return what ``bundle.json`` tells of it."""
        return {"at_s": self.at_s, "stretch": self.stretch, "share": self.share}

    def write(self, folder: Path) -> None:
        """Write the matrix into the folder of a bundle."""
        from safetensors.numpy import save_file

        save_file({"noise": np.ascontiguousarray(self.noise)}, folder / EARLY_FILE)


def answers_of(
    early: EarlyAnswers | None,
    settings: EvidenceSettings,
    mean_input: NDArray[np.float32],
    first_s: float,
    rate_hz: float,
) -> dict[int, EarlyAnswer]:
    """Return how windows are answered before they end, by how many samples were seen, rising.

    Parameters
    ----------
    early
        What the bundle knows; None where it cannot answer early.
    settings
        At which times.
    mean_input, first_s, rate_hz
        The window: its mean ``[times, channels]``, the first sample's time in seconds after onset, and the rate.

    Raises
    ------
    InputError
        If a time is not inside the window, or the bundle cannot answer early.
    """
    times_s = settings.answer_times(first_s, first_s + len(mean_input) / rate_hz)
    if not times_s:
        return {}
    if early is None:
        msg = "evidence.answer_at_s: this bundle cannot answer before a window ends; fit it again, or leave it out"
        raise InputError(msg)
    return {answer.seen: answer for answer in (early.at(at_s, mean_input, first_s, rate_hz) for at_s in times_s)}


def read_early_answers(folder: Path, record: EarlyRecord, n_times: int) -> EarlyAnswers:
    """Return what the folder of a bundle holds.

    Parameters
    ----------
    folder
        The bundle.
    record
        What its ``bundle.json`` tells.
    n_times
        Samples in the window.

    Raises
    ------
    ValueError
        If it is damaged, in one line.
    """
    from realtime.decoding.bundle_record import read_arrays

    arrays = read_arrays(folder / EARLY_FILE, {"noise": (n_times, n_times)})
    return EarlyAnswers(**arrays, at_s=record.at_s, stretch=record.stretch, share=record.share)


def expectation(noise: NDArray[np.floating[Any]], seen: int) -> NDArray[np.float64]:
    """Return what a window about its mean is expected to be given its first samples, ``[times, seen]``.

    Parameters
    ----------
    noise
        ``[times, times]``: the covariance over time.
    seen
        How many samples were seen; these stay what they are.
    """
    covariance = noise.astype(np.float64)
    rest = np.linalg.solve(covariance[:seen, :seen], covariance[:seen, seen:]).T
    return np.vstack([np.eye(seen), rest])
