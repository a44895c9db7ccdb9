"""First stage of the generator: a base model that removes noise, given an embedding.

    python training/pictures.py --count 32000
    python training/train_encoder.py
    python training/train_generator.py

Flow-matching interpolation (Lipman et al., 2023) with prediction of the clean picture from large patches
(Li and He, "Back to Basics: Let Denoising Generative Models Denoise", 2025). A run that was stopped goes on from its
last checkpoint; `--restart` begins anew.
"""

# ruff: noqa: E402 - torchvision must be mended before open_clip and diffusers are imported
from __future__ import annotations

import argparse
import copy
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.progress import Progress, TextColumn
from torch import Tensor
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from configs.torchvision_shim import load_torchvision

load_torchvision()

import open_clip
from networks import LAYOUT_CHANNELS, PATCH, VECTOR_DIMS, Viewer, build_unet
from pictures import CACHE, load_pictures

from calibration.embeddings import DRAWN_MODEL, DRAWN_TAG, load_encoder
from realtime.rendering.embedded.conditioner import EmbeddingConditioner
from realtime.rendering.embedded.schedule import noise_levels, shifted

STAGE = "base"
CHECKPOINTS = {stage: CACHE / f"generator_{stage}.pt" for stage in ("base", "distil")}
SHEETS = CACHE / "sheets"
NORMALISATION = (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD)


class Data:
    """Training pictures, and what the frozen encoder sees in them, standardised."""

    def __init__(self, count: int, device: str) -> None:
        self.images, _ = load_pictures(count)
        self.device = device
        self.viewer = Viewer(load_encoder(DRAWN_MODEL, DRAWN_TAG).image_tower, *NORMALISATION).to(device)
        self.mean, self.std = torch.zeros(()), torch.ones(())
        sample = torch.cat([self.batch(np.random.default_rng(i), 100)[1] for i in range(20)])
        self.mean, self.std = sample.mean(0), sample.std(0)
        standard = (sample - self.mean) / self.std
        covariance = standard.T @ standard / len(standard) + 1e-4 * torch.eye(standard.shape[1], device=device)
        self.mixing = torch.linalg.cholesky(covariance).T

    @torch.no_grad()
    def batch(self, rng: np.random.Generator, size: int) -> tuple[Tensor, Tensor]:
        """Return pictures in [-1, 1] ``[size, 3, 128, 128]``, half of them mirrored, and standardised embeddings."""
        images = self.images[rng.integers(0, len(self.images), size)]
        mirrored = rng.uniform(size=size) < 0.5
        images[mirrored] = images[mirrored, :, ::-1]
        clean = torch.from_numpy(images).permute(0, 3, 1, 2).float().to(self.device) / 127.5 - 1
        return clean, (self.viewer(clean)[1] - self.mean) / self.std

    def imprecise(self, standard: Tensor) -> tuple[Tensor, Tensor]:
        """Return embeddings mixed with noise, still of unit variance, and the noise's amplitude ``[n, 1]``, 0 to 1.8.

        Half the noise is equal in all dimensions, half is spread as the embeddings themselves are.
        """
        amount = 1.8 * torch.rand(len(standard), 1, device=self.device) ** 2
        noise = torch.randn_like(standard)
        alike = torch.rand(len(standard), 1, device=self.device) < 0.5
        noise = torch.where(alike, noise @ self.mixing, noise)
        return (standard + amount * noise) / (1 + amount**2).sqrt(), amount


def to_patches(pictures: Tensor) -> Tensor:
    """Return pictures ``[n, 3, 128, 128]`` as the UNet's sample ``[n, 192, 16, 16]``."""
    return functional.pixel_unshuffle(pictures, PATCH)


def to_pictures(patches: Tensor) -> Tensor:
    """Return the UNet's sample as pictures."""
    return functional.pixel_shuffle(patches, PATCH)


def add_noise(clean: Tensor, level: Tensor) -> Tensor:
    """Return ``(1 - level) * clean + level * noise``."""
    level = level[:, None, None, None]
    return (1 - level) * clean + level * torch.randn_like(clean)


def denoise(both: torch.nn.ModuleList, noisy: Tensor, level: Tensor, standard: Tensor) -> Tensor:
    """Return the clean patches that the model sees behind noisy ones, given standardised embeddings."""
    unet, conditioner = both
    vector, layout = conditioner(standard)
    patches: Tensor = unet(torch.cat([noisy, layout], dim=1), 1000 * level, vector).sample
    return patches


def base_loss(both: torch.nn.ModuleList, clean: Tensor, standard: Tensor) -> Tensor:
    """Return the error of the clean picture predicted from a noisy one, a quarter of them pure noise.

    The absolute error prefers one sharp outline to the average of several; the squared one settles colours.
    """
    level = torch.rand(len(clean), device=clean.device).clamp(min=0.02)
    level = torch.where(torch.rand_like(level) < 0.25, torch.ones_like(level), shifted(level))
    target = to_patches(clean)
    error = denoise(both, add_noise(target, level), level, standard) - target
    return error.abs().mean() + 0.5 * error.square().mean()


@torch.no_grad()
def sample(both: torch.nn.ModuleList, standard: Tensor, steps: int, seed: int = 0) -> Tensor:
    """Return pictures drawn in `steps` steps, the noise renewed between steps as in consistency sampling."""
    generator = torch.Generator().manual_seed(seed)
    shape = (len(standard), 3 * PATCH**2, 128 // PATCH, 128 // PATCH)
    clean = torch.zeros(shape, device=standard.device)
    for level in noise_levels(steps):
        noisy = (1 - level) * clean + level * torch.randn(shape, generator=generator).to(standard.device)
        clean = denoise(both, noisy, torch.full((len(standard),), level, device=standard.device), standard)
    return to_pictures(clean).clamp(-1, 1)


class Replicas:
    """Copies of a model that share its weights and work on parts of a batch, each in a thread of its own.

    On a machine that others use too, one thread a copy waits once a step, where two threads inside every operation
    wait for each other thousands of times.
    """

    def __init__(self, model: torch.nn.ModuleList, count: int) -> None:
        self.models = [model, *(copy.deepcopy(model) for _ in range(count - 1))]
        for other in self.models[1:]:
            for own, shared in zip(other.parameters(), model.parameters(), strict=True):
                own.data = shared.data
        self.pool = ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,)) if count > 1 else None

    def backward(self, loss_of: Callable[..., Tensor], *batch: Tensor) -> float:
        """Leave the gradient of the batch's mean loss in the first model and return that loss."""
        if self.pool is None:
            loss = loss_of(self.models[0], *batch)
            loss.backward()
            return loss.item()

        def work(model: torch.nn.ModuleList, *part: Tensor) -> float:
            loss: Tensor = loss_of(model, *part) / len(self.models)
            loss.backward()
            return loss.item()

        losses = list(self.pool.map(work, self.models, *(part.chunk(len(self.models)) for part in batch)))
        for other in self.models[1:]:
            for own, into in zip(other.parameters(), self.models[0].parameters(), strict=True):
                into.grad += own.grad
                own.grad = None
        return sum(losses)


class Average:
    """Exponential moving average of a module's weights."""

    def __init__(self, module: torch.nn.Module, decay: float) -> None:
        self.module, self.decay, self.count = copy.deepcopy(module).eval().requires_grad_(False), decay, 0

    @torch.no_grad()
    def update(self, module: torch.nn.Module) -> None:
        """Move towards `module`; faster while the average is young."""
        self.count += 1
        decay = min(self.decay, (1 + self.count) / (10 + self.count))
        torch._foreach_lerp_(list(self.module.parameters()), list(module.parameters()), 1 - decay)


def rate_at(step: int, steps: int, peak: float, warm: int = 100) -> float:
    """Return the learning rate: linear rise, then level, then a linear fall over the last third."""
    return peak * min(1.0, (step + 1) / warm) * min(1.0, max(0.03, 3 * (1 - step / steps)))


def save_sheet(path: Path, clean: Tensor, rows: list[Tensor]) -> None:
    """Write a sheet of pictures: the true ones on top, a row of generated ones for each number of steps."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [torch.cat(list(row), dim=2) for row in (clean, *rows)]
    pixels = ((torch.cat(lines, dim=1) + 1) * 127.5).round().byte().permute(1, 2, 0).cpu().numpy()
    Image.fromarray(pixels).save(path)


def build_model() -> torch.nn.ModuleList:
    """Return the untrained UNet and the conditioner."""
    conditioner = EmbeddingConditioner(
        vector_dims=VECTOR_DIMS,
        layout_channels=LAYOUT_CHANNELS,
        layout_side=128 // PATCH,
        model=DRAWN_MODEL,
        pretrained=DRAWN_TAG,
    )
    return torch.nn.ModuleList([build_unet(), conditioner])


def keep_checkpoint(
    stage: str,
    step: int,
    both: torch.nn.Module,
    average: Average,
    optimiser: torch.optim.Optimizer,
    extra: dict[str, object] | None = None,
) -> None:
    """Write a checkpoint so that a run which is killed while writing still finds the one before."""
    path = CHECKPOINTS[stage]
    state = {"model": both.state_dict(), "average": average.module.state_dict()}
    torch.save(state | {"optimiser": optimiser.state_dict(), "step": step} | (extra or {}), path.with_suffix(".part"))
    path.with_suffix(".part").replace(path)


def show(data: Data, both: torch.nn.ModuleList, path: Path, count: int = 12) -> None:
    """Write a sheet of training pictures redrawn in 1, 2 and 4 steps."""
    clean, standard = data.batch(np.random.default_rng(1), count)
    save_sheet(path, clean, [sample(both, standard, steps) for steps in (1, 2, 4)])


def add_arguments(parser: argparse.ArgumentParser, steps: int, batch: int, rate: float) -> None:
    """Add what both stages take from the command line."""
    parser.add_argument("--pictures", type=int, default=32_000, help="training pictures from the cache (32000)")
    parser.add_argument("--steps", type=int, default=steps, help=f"optimiser steps of this stage ({steps})")
    parser.add_argument("--batch", type=int, default=batch, help=f"pictures a step ({batch})")
    parser.add_argument("--rate", type=float, default=rate, help=f"peak learning rate ({rate})")
    parser.add_argument("--every", type=int, default=250, help="steps between checkpoints (250)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--replicas", type=int, default=1, help="threads with a copy of the model each (1)")
    parser.add_argument("--restart", action="store_true", help="ignore the checkpoint of an earlier run")


def main() -> None:
    """Train the base model from nothing, or go on with it, with sheets of samples on the way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, steps=6000, batch=32, rate=1e-3)
    a = parser.parse_args()

    torch.manual_seed(a.seed)
    data = Data(a.pictures, a.device)
    both = build_model().to(a.device)
    average = Average(both, 0.999)
    optimiser = torch.optim.AdamW(both.parameters(), lr=a.rate, betas=(0.9, 0.99), weight_decay=0.01)
    first = 0
    if CHECKPOINTS[STAGE].exists() and not a.restart:
        state = torch.load(CHECKPOINTS[STAGE], map_location=a.device)
        both.load_state_dict(state["model"])
        average.module.load_state_dict(state["average"])
        average.count = first = state["step"]
        optimiser.load_state_dict(state["optimiser"])
    for conditioner in (both[1], average.module[1]):
        conditioner.mean.copy_(data.mean)
        conditioner.std.copy_(data.std)
    rng = np.random.default_rng([a.seed, first])
    replicas = Replicas(both, a.replicas)

    with Progress(*Progress.get_default_columns(), TextColumn("{task.fields[note]}")) as progress:
        task = progress.add_task("base", total=a.steps, completed=first, note="")
        running, began = 0.0, time.perf_counter()
        for step in range(first, a.steps):
            for group in optimiser.param_groups:
                group["lr"] = rate_at(step, a.steps, a.rate)
            clean, standard = data.batch(rng, a.batch)
            optimiser.zero_grad(set_to_none=True)
            loss = replicas.backward(base_loss, clean, data.imprecise(standard)[0])
            torch.nn.utils.clip_grad_norm_(both.parameters(), 1.0)
            optimiser.step()
            average.update(both)
            running += loss
            progress.update(task, completed=step + 1, note=f"loss {loss:.3f}")
            if (step + 1) % a.every == 0 or step + 1 == a.steps:
                spent, began = time.perf_counter() - began, time.perf_counter()
                progress.console.print(f"step {step + 1}: loss {running / a.every:.4f}, {spent / a.every:.2f} s a step")
                running = 0.0
                keep_checkpoint(STAGE, step + 1, both, average, optimiser)
                show(data, average.module, SHEETS / f"base_{step + 1:06d}.png")


if __name__ == "__main__":
    main()
