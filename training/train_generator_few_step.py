"""Third stage of the generator: train on what the model itself made in its earlier steps.

    python training/train_generator.py
    python training/train_generator_few_step.py

When it draws in a few steps, the model meets its own guesses with new noise on them, never a noisy drawing as in the
first stage. Here its inputs are made as they are when it draws (backward simulation: Yin et al., "Improved Distribution
Matching Distillation for Fast Image Synthesis", 2024, section 4.5), at the noise levels of one, two and four steps; the
drawing itself is the teacher.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import train_generator as base

from realtime.rendering.embedded.conditioner import Reading
from realtime.rendering.embedded.schedule import noise_levels


def few_step_loss(both: torch.nn.ModuleList, clean: Tensor, reading: Reading) -> Tensor:
    """Return the error of the guess after one to four steps, whose earlier steps are the model's own."""
    levels = noise_levels((1, 2, 4)[int(torch.randint(3, ()))])
    taken = int(torch.randint(len(levels), ()))
    guess = clean
    for level in levels[: taken + 1]:
        everywhere = torch.full((len(clean),), level, device=clean.device)
        last = level == levels[taken]
        with torch.set_grad_enabled(last):
            guess = base.denoise(both, base.add_noise(guess, everywhere), everywhere, reading)
    return base.difference(guess, clean)


def main() -> None:
    """Train from the base model's averaged weights; `save_generator.py` ships the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    base.add_arguments(parser, steps=1000, rate=3e-4)
    a = parser.parse_args()
    base.train("few_step", few_step_loss, base.Data(a.pictures, a.device), a, base.CHECKPOINTS["base"])


if __name__ == "__main__":
    main()
