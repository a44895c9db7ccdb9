"""Contrastive training of a linear map: which picture belongs to a trial, among the others of its batch.

InfoNCE (van den Oord et al., 2018) in both directions between ``features @ weights`` and ``targets @ projection``, both
of unit length, with a learnt temperature. Trials of one picture are positives of one another: a picture is one
candidate, however many of its trials are in the batch.

Unit length takes the size of the weights out of the loss, and with it what a penalty on their size could do. So what is
penalised is the share of noise in the output: features are whitened, the noise in ``features @ weights`` has the power
``‖weights‖²``, and the penalty is that over the power of the whole output.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from realtime.decoding.identification_head import Residual

if TYPE_CHECKING:
    from torch import Tensor

Samples = NDArray[np.float32]
Index = NDArray[np.int64]

BATCH = 1024
"""Trials of a batch at most: more are more candidates to be told from, and fewer steps an epoch."""
FEWEST_BATCHES = 4
"""Batches of an epoch at least, so that a few hundred trials make steps enough."""
STEP = 0.02
"""Step of the optimiser, in root mean squares of the weights at the start."""
RESIDUAL_STEP = 0.001
"""Step of the optimiser in the residual, whose input and output are near 1."""
HIDDEN = 128
"""Hidden units of the residual."""
FIRST_SCALE, LARGEST_SCALE = 10.0, 100.0
"""One over the temperature: at the start, and at most."""


@dataclass(frozen=True, eq=False)
class Problem:
    """What is learned from.

    Attributes
    ----------
    features
        float32 ``[trials, features]``, whitened.
    pictures
        ``[trials]``: which picture each trial shows.
    targets
        float32 ``[layers, pictures, dims]``, each layer standardised.
    learn_mix
        Whether layers count as much as helps; alike otherwise.
    residual
        Whether a residual of the map is trained with it.
    """

    features: Samples
    pictures: Index
    targets: Samples
    learn_mix: bool = False
    residual: bool = False


@dataclass(frozen=True, eq=False)
class Solution:
    """A trained map and the projection that it belongs to.

    Attributes
    ----------
    mean
        float32 ``[features]``: subtracted from features.
    weights
        float32 ``[features, dims]``.
    projection
        float32 ``[target dims, dims]``.
    mix
        float32 ``[layers]``: how much each layer counts; they sum to 1.
    scale
        One over the temperature.
    residual
        Corrects what the map gives; None where the map is all.
    """

    mean: Samples
    weights: Samples
    projection: Samples
    mix: Samples
    scale: float
    residual: Residual | None = None

    def predict(self, features: Samples) -> Samples:
        """Return what features ``[n, features]`` are compared as, ``[n, dims]``."""
        summed: Samples = features @ self.weights - self.mean @ self.weights
        return summed if self.residual is None else self.residual(summed)

    def project(self, targets: Samples) -> Samples:
        """Return what targets ``[layers, pictures, target dims]`` are compared as, ``[pictures, dims]``."""
        projected: Samples = np.tensordot(self.mix, targets, axes=1) @ self.projection
        return projected


class Training:
    """One map being trained, epoch by epoch; its state can be kept and taken up again.

    Parameters
    ----------
    problem
        All trials and targets; only rows that are learned from are read.
    rows
        Which trials are learned from.
    start
        Where it begins.
    decay
        Penalty on the share of noise in the output.
    seed
        Seed of the order in which trials come.
    """

    def __init__(self, problem: Problem, rows: Index, start: Solution, decay: float, seed: int) -> None:
        import torch

        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._problem, self._rows, self._decay, self._seed = problem, rows, decay, seed
        self._targets = torch.from_numpy(problem.targets).to(self._device)
        self._mean = torch.from_numpy(start.mean).to(self._device)
        self._start_mean = start.mean
        self.epoch = 0

        def free(value: Samples) -> Tensor:
            return torch.tensor(value, dtype=torch.float32, device=self._device, requires_grad=True)

        self._weights, self._projection = free(start.weights), free(start.projection)
        self._residual = [free(value) for value in _no_residual(start.weights.shape[1], seed)] * problem.residual
        self._log_scale = free(np.float32(np.log(start.scale)))  # type: ignore[arg-type]
        self._log_mix = free(np.log(start.mix))
        groups: list[dict[str, Any]] = [
            {"params": [value], "lr": STEP * float(value.detach().square().mean().sqrt())}
            for value in (self._weights, self._projection)
        ]
        if self._residual:
            groups.append({"params": self._residual, "lr": RESIDUAL_STEP})
        groups.append({"params": [self._log_scale, *([self._log_mix] if problem.learn_mix else [])], "lr": STEP})
        self._optimiser = torch.optim.Adam(groups, fused=True)

    def run_epoch(self) -> None:
        """Let every trial that is learned from come once."""
        import torch

        features = torch.from_numpy(self._problem.features)
        pictures = torch.from_numpy(self._problem.pictures)
        for batch in self._batches():
            rows = torch.from_numpy(batch)
            shown, own = torch.unique(pictures[rows], return_inverse=True)
            loss = self._loss(features[rows].to(self._device), shown.to(self._device), own.to(self._device))
            self._optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self._optimiser.step()
            with torch.no_grad():
                self._log_scale.clamp_(0.0, float(np.log(LARGEST_SCALE)))
        self.epoch += 1

    def solution(self) -> Solution:
        """Return the map as it is now."""
        import torch

        def plain(value: Tensor) -> Samples:
            return value.detach().cpu().numpy().copy()

        mix = plain(torch.softmax(self._log_mix, dim=0))
        scale = float(self._log_scale.detach().exp())
        residual = None
        if self._residual:
            hidden, hidden_bias, output, output_bias = map(plain, self._residual)
            residual = Residual(hidden - hidden.mean(axis=0), hidden_bias, output, output_bias)
        return Solution(self._start_mean, plain(self._weights), plain(self._projection), mix, scale, residual)

    def state(self) -> dict[str, Any]:
        """Return all that `restore` needs to go on from here."""
        return {
            "epoch": self.epoch,
            "values": [value.detach().clone() for value in self._values],
            "optimiser": self._optimiser.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from where `state` was taken."""
        import torch

        self.epoch = int(state["epoch"])
        with torch.no_grad():
            for value, kept in zip(self._values, state["values"], strict=True):
                value.copy_(kept)
        self._optimiser.load_state_dict(state["optimiser"])

    @property
    def _values(self) -> list[Tensor]:
        return [self._weights, self._projection, self._log_scale, self._log_mix, *self._residual]

    def _batches(self) -> Iterator[Index]:
        """Yield the trials of each batch, in an order that the seed and the epoch decide."""
        order = np.random.default_rng([self._seed, self.epoch]).permutation(self._rows)
        count = max(FEWEST_BATCHES, -(-len(order) // BATCH))
        yield from (part for part in np.array_split(order, count) if len(part) > 1)

    def _loss(self, features: Tensor, shown: Tensor, own: Tensor) -> Tensor:
        import torch
        from torch.nn import functional

        summed = features @ self._weights - self._mean @ self._weights
        output = summed
        if self._residual:
            hidden, hidden_bias, out, out_bias = self._residual
            normal = functional.layer_norm(summed, summed.shape[1:], eps=1e-12)
            output = summed + functional.relu(normal @ hidden + hidden_bias) @ out + out_bias
        mix = torch.softmax(self._log_mix, dim=0)
        projected = torch.tensordot(mix, self._targets[:, shown], dims=1) @ self._projection
        alike = functional.normalize(output, dim=1) @ functional.normalize(projected, dim=1).T
        logits = self._log_scale.exp() * alike
        which_picture = functional.cross_entropy(logits, own)
        each = torch.arange(len(own), device=own.device)
        which_trial = -torch.log_softmax(logits, dim=0)[each, own].mean()
        noise = self._weights.square().sum() / summed.square().sum(dim=1).mean()
        loss: Tensor = 0.5 * (which_picture + which_trial) + self._decay * noise
        return loss


def _no_residual(dims: int, seed: int) -> tuple[Samples, ...]:
    """Return a residual that corrects nothing yet: hidden weights and biases, output weights and biases."""
    hidden = np.random.default_rng(seed).standard_normal((dims, HIDDEN)) / np.sqrt(dims)
    return (
        hidden.astype(np.float32),
        np.zeros(HIDDEN, np.float32),
        np.zeros((HIDDEN, dims), np.float32),
        np.zeros(dims, np.float32),
    )
