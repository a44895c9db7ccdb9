"""First stage of the generator: a base model that removes noise, given what a picture shows.

    python training/pictures.py --count 32000 --prototypes
    python training/train_generator.py

Flow-matching interpolation (Lipman et al., 2023) with prediction of the clean picture from patches (Li and He, "Back to
Basics: Let Denoising Generative Models Denoise", 2025). The condition is the true reading of each picture; which
reading an embedding gives is learnt apart from it (`train_reader.py`), as unCLIP keeps its prior and decoder apart.
A run that was stopped goes on from its last checkpoint; `--restart` begins anew.
"""

from __future__ import annotations

import argparse
import copy
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.progress import Progress, TextColumn
from torch import Tensor
from torch.nn import functional

from configs.files import whole_file

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from networks import PATCH, build_model
from pictures import CACHE, load_pictures
from readings import pick, true_readings

from realtime.rendering.embedded.conditioner import Reading
from realtime.rendering.embedded.schedule import noise_levels, shifted

CHECKPOINTS = {stage: CACHE / f"generator_{stage}.pt" for stage in ("base", "few_step")}
SHEETS = CACHE / "sheets"
Loss = Callable[[torch.nn.ModuleList, Tensor, Reading], Tensor]


class Data:
    """Prototypes of the training pictures and what each shows."""

    def __init__(self, count: int, device: str) -> None:
        self.images, pictures = load_pictures(count, "prototypes")
        self.readings = true_readings(pictures)
        self.device = device

    def batch(self, rng: np.random.Generator, size: int) -> tuple[Tensor, Reading]:
        """Return patches of pictures in [-1, 1] ``[size, 48, 32, 32]`` and their readings."""
        rows = rng.integers(0, len(self.images), size)
        clean = torch.from_numpy(self.images[rows]).permute(0, 3, 1, 2).float() / 127.5 - 1
        reading = Reading(*(part.to(self.device) for part in pick(self.readings, torch.from_numpy(rows))))
        return functional.pixel_unshuffle(clean.to(self.device), PATCH), reading


def add_noise(clean: Tensor, level: Tensor) -> Tensor:
    """Return ``(1 - level) * clean + level * noise``."""
    level = level[:, None, None, None]
    return (1 - level) * clean + level * torch.randn_like(clean)


def denoise(both: torch.nn.ModuleList, noisy: Tensor, level: Tensor, reading: Reading) -> Tensor:
    """Return the clean patches that the model sees behind noisy ones, given what is shown."""
    unet, conditioner = both
    with torch.autocast(noisy.device.type, torch.bfloat16):
        vector, layout = conditioner.lay_out(reading)
        patches: Tensor = unet(torch.cat([noisy, layout], dim=1), 1000 * level, vector).sample
    return patches.float()


def difference(guess: Tensor, clean: Tensor) -> Tensor:
    """Return the error of a guess: the absolute one prefers a sharp outline, the squared one settles colours."""
    error = guess - clean
    return error.abs().mean() + 0.5 * error.square().mean()


def base_loss(both: torch.nn.ModuleList, clean: Tensor, reading: Reading) -> Tensor:
    """Return the error of the clean picture predicted from a noisy one, half of them pure noise."""
    level = torch.rand(len(clean), device=clean.device).clamp(min=0.02)
    level = torch.where(torch.rand_like(level) < 0.5, torch.ones_like(level), shifted(level))
    return difference(denoise(both, add_noise(clean, level), level, reading), clean)


@torch.no_grad()
def sample(both: torch.nn.ModuleList, reading: Reading, steps: int, seed: int = 0) -> Tensor:
    """Return pictures drawn in `steps` steps, the noise renewed between steps as in consistency sampling."""
    generator = torch.Generator().manual_seed(seed)
    side = both[0].config.sample_size
    shape = (len(reading.concept), 3 * PATCH**2, side, side)
    device = reading.concept.device
    clean = torch.zeros(shape, device=device)
    for level in noise_levels(steps):
        noisy = (1 - level) * clean + level * torch.randn(shape, generator=generator).to(device)
        clean = denoise(both, noisy, torch.full((shape[0],), level, device=device), reading)
    return functional.pixel_shuffle(clean, PATCH).clamp(-1, 1)


class Average:
    """Running average of a model's weights (EMA), quick at first and slower as training goes on."""

    def __init__(self, model: torch.nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay, self.count = decay, 0

    @torch.no_grad()
    def update(self, model: torch.nn.Module) -> None:
        """Move the average a little towards the model."""
        self.count += 1
        amount = 1 - min(self.decay, self.count / (self.count + 10))
        for mean, new in zip(self.module.parameters(), model.parameters(), strict=True):
            mean.lerp_(new, amount)


def rate_at(step: int, steps: int, peak: float, warm: int = 100) -> float:
    """Return the learning rate: a short rise, then level, then to nothing over the last half (linearly)."""
    return peak * min(1.0, (step + 1) / warm, 2 * (steps - step) / steps)


def save_sheet(path: Path, *rows: Tensor) -> None:
    """Write rows of pictures in [-1, 1] ``[n, 3, side, side]`` below one another."""
    sheet = torch.cat([torch.cat(list(row), dim=2) for row in rows], dim=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = ((sheet.clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).cpu().numpy()
    Image.fromarray(pixels).save(path)


def keep_checkpoint(path: Path, **state: object) -> None:
    """Write a checkpoint so that a run which is killed while writing still finds the one before."""
    with whole_file(path) as part:
        torch.save(state, part)


def train(stage: str, loss_of: Loss, data: Data, a: argparse.Namespace, start: Path | None = None) -> None:
    """Train one stage, from the averaged weights in `start` or from nothing; keep checkpoints and sheets of samples."""
    torch.manual_seed(a.seed)
    both = build_model().to(a.device)
    if start is not None:
        both.load_state_dict(torch.load(start, map_location=a.device)["average"])
    average = Average(both, 0.998)
    trained = [p for name, p in both.named_parameters() if ".reader." not in name]
    optimiser = torch.optim.AdamW(trained, lr=a.rate, betas=(0.9, 0.99), weight_decay=0.01)
    first = 0
    if CHECKPOINTS[stage].exists() and not a.restart:
        state = torch.load(CHECKPOINTS[stage], map_location=a.device)
        both.load_state_dict(state["model"])
        average.module.load_state_dict(state["average"])
        average.count = first = state["step"]
        optimiser.load_state_dict(state["optimiser"])
    rng = np.random.default_rng([a.seed, first])
    shown, reading = data.batch(np.random.default_rng(1), 12)

    with Progress(*Progress.get_default_columns(), TextColumn("{task.fields[note]}")) as progress:
        task = progress.add_task(stage, total=a.steps, completed=first, note="")
        running, began = 0.0, time.perf_counter()
        for step in range(first, a.steps):
            for group in optimiser.param_groups:
                group["lr"] = rate_at(step, a.steps, a.rate)
            optimiser.zero_grad(set_to_none=True)
            loss = loss_of(both, *data.batch(rng, a.batch))
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimiser.step()
            average.update(both)
            running += loss.item()
            progress.update(task, completed=step + 1, note=f"loss {loss.item():.3f}")
            if (step + 1) % a.every == 0 or step + 1 == a.steps:
                spent, began = time.perf_counter() - began, time.perf_counter()
                progress.console.print(f"step {step + 1}: loss {running / a.every:.4f}, {spent / a.every:.2f} s a step")
                running = 0.0
                keep_checkpoint(
                    CHECKPOINTS[stage],
                    model=both.state_dict(),
                    average=average.module.state_dict(),
                    optimiser=optimiser.state_dict(),
                    step=step + 1,
                )
                rows = [sample(average.module, reading, steps) for steps in (1, 2, 4)]
                save_sheet(SHEETS / f"{stage}_{step + 1:06d}.png", functional.pixel_shuffle(shown, PATCH), *rows)


def add_arguments(parser: argparse.ArgumentParser, steps: int, rate: float) -> None:
    """Add what both stages take from the command line."""
    parser.add_argument("--pictures", type=int, default=32_000, help="training pictures from the cache (32000)")
    parser.add_argument("--steps", type=int, default=steps, help=f"optimiser steps of this stage ({steps})")
    parser.add_argument("--batch", type=int, default=16, help="pictures a step (16)")
    parser.add_argument("--rate", type=float, default=rate, help=f"peak learning rate ({rate})")
    parser.add_argument("--every", type=int, default=250, help="steps between checkpoints (250)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--restart", action="store_true", help="ignore the checkpoint of an earlier run")


def main() -> None:
    """Train the base model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, steps=6000, rate=1e-3)
    a = parser.parse_args()
    train("base", base_loss, Data(a.pictures, a.device), a)


if __name__ == "__main__":
    main()
