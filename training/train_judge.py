"""Train the judge of `benchmarks/judge`: concept and texture from pixels, with blur, noise and shifts as augmentation.

    python training/pictures.py --count 32000
    python training/train_judge.py

It shares neither weights nor captions nor loss with the encoder, so it can judge what the generator makes of the
encoder's embedding.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import numpy as np
import torch
from rich.progress import Progress, TextColumn
from torch import Tensor
from torch.nn import functional

from configs.files import whole_file

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pictures import CACHE, load_pictures
from safetensors.torch import save_file

from benchmarks.judge import WEIGHTS, Judge, as_input, look
from stimuli.drawn.concepts import CONCEPTS
from stimuli.drawn.manifest import test_pictures
from stimuli.drawn.texture import TEXTURES

CHECKPOINT = CACHE / "judge.pt"


def main() -> None:
    """Train, print the accuracy on the test pictures as it goes, and write the weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=32_000, help="training pictures from the cache (32000)")
    parser.add_argument("--steps", type=int, default=1500, help="optimiser steps (1500)")
    parser.add_argument("--batch", type=int, default=64, help="pictures a step (64)")
    parser.add_argument("--rate", type=float, default=2e-3, help="peak learning rate (2e-3)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--restart", action="store_true", help="ignore the checkpoint of an earlier run")
    a = parser.parse_args()

    torch.manual_seed(a.seed)
    rng = np.random.default_rng(a.seed)
    images, pictures = load_pictures(a.pictures)
    concepts = torch.tensor([list(CONCEPTS).index(p.concept) for p in pictures])
    textures = torch.tensor([TEXTURES.index(p.texture) for p in pictures])
    judge = Judge().to(a.device)
    optimiser = torch.optim.AdamW(judge.parameters(), lr=a.rate, weight_decay=0.02)
    first = 0
    if CHECKPOINT.exists() and not a.restart:
        state = torch.load(CHECKPOINT, map_location=a.device)
        judge.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        first = state["step"]
    test = test_pictures()
    test_images = np.stack([p.render(128) for p in test])

    with Progress(*Progress.get_default_columns(), TextColumn("{task.fields[note]}")) as progress:
        task = progress.add_task("judge", total=a.steps, completed=first, note="")
        for step in range(first, a.steps):
            for group in optimiser.param_groups:
                group["lr"] = (
                    a.rate * min(1, (step + 1) / 50) * max(0.01, 0.5 * (1 + math.cos(math.pi * step / a.steps)))
                )
            chosen = rng.choice(len(pictures), a.batch, replace=False)
            concept, texture, _ = judge(worsen(as_input(images[chosen])).to(a.device))
            loss = functional.cross_entropy(concept, concepts[chosen].to(a.device))
            loss = loss + functional.cross_entropy(texture, textures[chosen].to(a.device))
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            progress.update(task, completed=step + 1, note=f"loss {loss.item():.2f}")
            if (step + 1) % 250 == 0 or step + 1 == a.steps:
                opinion = look(judge.eval().cpu(), test_images)
                right = np.mean([list(CONCEPTS)[i] == p.concept for i, p in zip(opinion.concept, test, strict=True)])
                surface = np.mean([TEXTURES[i] == p.texture for i, p in zip(opinion.texture, test, strict=True)])
                progress.console.print(
                    f"step {step + 1}: loss {loss.item():.3f}, concept {right:.3f}, texture {surface:.3f}"
                )
                torch.save(
                    {"model": judge.state_dict(), "optimiser": optimiser.state_dict(), "step": step + 1}, CHECKPOINT
                )
                judge.train().to(a.device)

    weights = {k: v.half().contiguous() if v.is_floating_point() else v for k, v in judge.state_dict().items()}
    with whole_file(WEIGHTS) as part:
        save_file(weights, part)


def worsen(pictures: Tensor) -> Tensor:
    """Return pictures with a random shift, and half of them a little blurred, half a little noisy."""
    n = len(pictures)
    across, down = (int(s) for s in torch.randint(-3, 4, (2,)))
    pictures = functional.pad(pictures, (3, 3, 3, 3), mode="replicate")[
        :, :, 3 + down : 67 + down, 3 + across : 67 + across
    ]
    blurred = functional.avg_pool2d(functional.pad(pictures, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    share = torch.rand(n, 1, 1, 1) * (torch.rand(n, 1, 1, 1) < 0.5)
    noise = torch.rand(n, 1, 1, 1) * (torch.rand(n, 1, 1, 1) < 0.5)
    return pictures + share * (blurred - pictures) + 0.15 * noise * torch.randn_like(pictures)


if __name__ == "__main__":
    main()
