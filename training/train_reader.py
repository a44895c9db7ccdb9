"""Second stage of the generator: learn to read from an embedding, however imprecise, what the picture shows.

    python training/pictures.py --count 32000
    python training/train_encoder.py
    python training/train_reader.py

The reader belongs to the encoder; the UNet does not, so a new encoder only needs this stage again. As in unCLIP (Ramesh
et al., 2022) embeddings are mixed with noise while training.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from rich.progress import Progress, TextColumn
from torch import Tensor
from torch.nn import functional

from configs.files import whole_file

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from networks import build_model
from pictures import CACHE, load_pictures
from readings import pick, true_readings

from calibration.data.embeddings import DRAWN_MODEL, DRAWN_TAG, load_encoder
from realtime.rendering.embedded.conditioner import EmbeddingConditioner, Reading
from stimuli.drawn.manifest import test_pictures

CHECKPOINT = CACHE / "reader.pt"


def imprecise(standard: Tensor, mixing: Tensor) -> Tensor:
    """Return standardised embeddings mixed with noise of amplitude 0 to 1.8 and still of unit variance.

    Half of them get noise that is equal in all dimensions, half noise that is spread as the embeddings themselves are.
    """
    amount = 1.8 * torch.rand(len(standard), 1, device=standard.device) ** 2
    noise = torch.randn_like(standard)
    alike = torch.rand(len(standard), 1, device=standard.device) < 0.5
    noise = torch.where(alike, noise @ mixing, noise)
    return (standard + amount * noise) / (1 + amount**2).sqrt()


def mixing_of(standard: Tensor) -> Tensor:
    """Return the matrix that gives white noise the covariance of `standard` ``[n, dims]``."""
    covariance = standard.T @ standard / len(standard) + 1e-4 * torch.eye(standard.shape[1], device=standard.device)
    return torch.linalg.cholesky(covariance).T


def reading_loss(said: Reading, true: Reading) -> Tensor:
    """Return how far a reading is from the truth."""
    return (
        functional.cross_entropy(said.concept, true.concept)
        + functional.cross_entropy(said.texture, true.texture)
        + functional.binary_cross_entropy_with_logits(said.flags, true.flags / 2 + 0.5)
        + functional.l1_loss(said.hues, true.hues)
        + functional.l1_loss(said.tone, true.tone)
        + functional.l1_loss(said.place, true.place)
    )


@torch.no_grad()
def accuracy(conditioner: EmbeddingConditioner, standard: Tensor, true: Reading) -> str:
    """Return how well the committed reading agrees with the truth, as text."""
    said = conditioner.commit(conditioner.read(standard))
    right = {
        "concept": (said.concept * true.concept).sum(1).mean(),
        "texture": (said.texture * true.texture).sum(1).mean(),
        "light marks": (said.flags == true.flags)[:, 0].float().mean(),
        "mirrored": (said.flags == true.flags)[:, 1].float().mean(),
    }
    spread = {
        name: (getattr(said, name) - getattr(true, name)).std(0) / getattr(true, name).std(0)
        for name in ("hues", "tone", "place")
    }
    words = [f"{name} {value:.3f}" for name, value in right.items()]
    words += [f"{name} r2 {', '.join(f'{1 - s**2:.2f}' for s in value.tolist())}" for name, value in spread.items()]
    return "; ".join(words)


def main() -> None:
    """Train the reader and say how well it reads the test pictures' embeddings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=32_000, help="training pictures from the cache (32000)")
    parser.add_argument("--steps", type=int, default=4000, help="optimiser steps (4000)")
    parser.add_argument("--batch", type=int, default=512, help="pictures a step (512)")
    parser.add_argument("--rate", type=float, default=1e-3, help="peak learning rate (1e-3)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    a = parser.parse_args()

    torch.manual_seed(a.seed)
    rng = np.random.default_rng(a.seed)
    encoder = load_encoder(DRAWN_MODEL, DRAWN_TAG)
    images, pictures = load_pictures(a.pictures)
    seen = torch.from_numpy(encoder.embed_images(list(images))).to(a.device)
    true = Reading(*(part.to(a.device) for part in true_readings(pictures)))
    test = test_pictures()
    test_seen = torch.from_numpy(encoder.embed_images([p.render(256) for p in test])).to(a.device)
    test_true = Reading(*(part.to(a.device) for part in true_readings(test)))

    conditioner = build_model()[1].to(a.device)
    conditioner.mean.copy_(seen.mean(0))
    conditioner.std.copy_(seen.std(0))
    standard, test_standard = conditioner.standardise(seen), conditioner.standardise(test_seen)
    mixing = mixing_of(standard)
    optimiser = torch.optim.AdamW(conditioner.reader.parameters(), lr=a.rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, a.rate, total_steps=a.steps)
    with Progress(*Progress.get_default_columns(), TextColumn("{task.fields[note]}")) as progress:
        task = progress.add_task("reader", total=a.steps, note="")
        for step in range(a.steps):
            rows = torch.from_numpy(rng.integers(0, len(seen), a.batch)).to(a.device)
            said = conditioner.read(imprecise(standard[rows], mixing))
            loss = reading_loss(said, pick(true, rows))
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            progress.update(task, completed=step + 1, note=f"loss {loss.item():.2f}")
            if (step + 1) % 1000 == 0:
                progress.console.print(f"step {step + 1}: {accuracy(conditioner, test_standard, test_true)}")
    state = {"reader": conditioner.reader.state_dict(), "mean": conditioner.mean, "std": conditioner.std}
    with whole_file(CHECKPOINT) as part:
        torch.save(state, part)


if __name__ == "__main__":
    main()
