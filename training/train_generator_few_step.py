"""Second stage of the generator: make the base model's first guess sharp, so that one to four steps are enough.

    python training/train_generator.py
    python training/train_generator_few_step.py

After Adversarial Diffusion Distillation (Sauer et al., 2023): the model draws from the noise levels of the few-step
schedule, and its picture is judged by a critic and by what the encoder sees in it; the drawn picture itself stands in
for the teacher's.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
from rich.progress import Progress, TextColumn
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import train_generator as base
from networks import Critic

STAGE = "distil"
LEVELS = (1.0, 1.0, 1.0, 0.9, 0.75, 0.5)  # half of the pictures start from pure noise


def main() -> None:
    """Distil, with sheets of samples on the way, and keep checkpoints; `save_generator.py` ships the last one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    base.add_arguments(parser, steps=1500, batch=24, rate=2e-4)
    parser.add_argument("--adversarial", type=float, default=0.05, help="weight of the critic (0.05)")
    parser.add_argument("--embedding", type=float, default=0.1, help="weight of the encoder's view (0.1)")
    a = parser.parse_args()

    torch.manual_seed(a.seed)
    data = base.Data(a.pictures, a.device)
    critic = Critic(data.viewer.widths, data.mean.numel()).to(a.device)
    both = base.build_model().to(a.device)
    both.load_state_dict(torch.load(base.CHECKPOINTS["base"], map_location=a.device)["average"])
    average = base.Average(both, 0.995)
    painter = torch.optim.AdamW(both.parameters(), lr=a.rate, betas=(0.5, 0.99), weight_decay=0.01)
    judge = torch.optim.AdamW(critic.parameters(), lr=2 * a.rate, betas=(0.5, 0.99), weight_decay=0.01)
    first = 0
    if base.CHECKPOINTS[STAGE].exists() and not a.restart:
        state = torch.load(base.CHECKPOINTS[STAGE], map_location=a.device)
        for part, name in (
            (both, "model"),
            (average.module, "average"),
            (critic, "critic"),
            (painter, "optimiser"),
            (judge, "judge"),
        ):
            part.load_state_dict(state[name])
        average.count = first = state["step"]
    rng = np.random.default_rng([a.seed, 1, first])

    with Progress(*Progress.get_default_columns(), TextColumn("{task.fields[note]}")) as progress:
        task = progress.add_task(STAGE, total=a.steps, completed=first, note="")
        sums, began = np.zeros(4), time.perf_counter()
        for step in range(first, a.steps):
            for group, scale in ((painter.param_groups[0], 1), (judge.param_groups[0], 2)):
                group["lr"] = scale * base.rate_at(step, a.steps, a.rate, warm=30)
            clean, standard = data.batch(rng, a.batch)
            given, amount = data.imprecise(standard)
            level = torch.tensor(LEVELS, device=a.device)[torch.randint(len(LEVELS), (a.batch,), device=a.device)]
            target = base.to_patches(clean)
            patches = base.denoise(both, base.add_noise(target, level), level, given)
            fake = base.to_pictures(patches)

            with torch.no_grad():
                real_features, _ = data.viewer(clean)
            features, seen = data.viewer(fake)
            real = critic(real_features, clean, standard)
            false = critic([f.detach() for f in features], fake.detach(), standard)
            judge_loss = sum(
                (torch.relu(1 - r).mean() + torch.relu(1 + f).mean() for r, f in zip(real, false, strict=True))
            )
            judge.zero_grad(set_to_none=True)
            judge_loss.backward()
            judge.step()

            fooled = -sum(f.mean() for f in critic(features, fake, standard))
            error = patches - target
            pixel = error.abs().mean() + 0.5 * error.square().mean()
            # An imprecise embedding says less about the true one, so agreement with that counts for less.
            trust = 1 / (1 + amount.square().squeeze(1))
            view = (trust * ((seen - data.mean) / data.std - standard).square().mean(1)).mean()
            loss: Tensor = pixel + a.embedding * view + a.adversarial * fooled
            painter.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(both.parameters(), 1.0)
            painter.step()
            average.update(both)

            sums += (pixel.item(), view.item(), fooled.item(), judge_loss.item())
            progress.update(task, completed=step + 1, note=f"pixel {pixel.item():.3f}")
            if (step + 1) % a.every == 0 or step + 1 == a.steps:
                spent, began = time.perf_counter() - began, time.perf_counter()
                text = "pixel {:.4f}, view {:.3f}, fooled {:.2f}, judge {:.2f}".format(*(sums / a.every))
                progress.console.print(f"step {step + 1}: {text}, {spent / a.every:.2f} s a step")
                sums[:] = 0
                extra = {"critic": critic.state_dict(), "judge": judge.state_dict()}
                base.keep_checkpoint(STAGE, step + 1, both, average, painter, extra)
                base.show(data, average.module, base.SHEETS / f"{STAGE}_{step + 1:06d}.png")


if __name__ == "__main__":
    main()
