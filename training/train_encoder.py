"""Train the small encoder: an open_clip model on drawn pictures and their captions.

    python training/pictures.py --count 32000
    python training/train_encoder.py

Loss: open_clip's own contrastive loss (Radford et al., "Learning Transferable Visual Models From Natural Language
Supervision", 2021). A run that was stopped goes on from its last checkpoint; `--restart` begins anew.
"""

# ruff: noqa: E402 - torchvision must be mended before open_clip and diffusers are imported
from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from PIL import Image
from rich.progress import Progress, TextColumn
from torch.nn import functional

from configs.files import whole_file

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from configs.torchvision_shim import load_torchvision

load_torchvision()

import open_clip
from captions import partial_caption, write_vocabulary
from pictures import CACHE, load_pictures
from readings import pick, true_readings
from safetensors.torch import load_file, save_file

from calibration.data.embeddings import DRAWN_FOLDER, DRAWN_MODEL, DRAWN_VOCABULARY, DRAWN_WEIGHTS
from realtime.rendering.embedded.conditioner import Reading
from stimuli.drawn.colour import hue_name
from stimuli.drawn.concepts import CONCEPTS
from stimuli.drawn.manifest import test_pictures
from stimuli.drawn.picture import DrawnPicture
from stimuli.drawn.texture import TEXTURES

CHECKPOINT = CACHE / "encoder.pt"
PARTS = ("brightness", "hue", "texture", "concept", "ground")


def main() -> None:
    """Train, print the zero-shot accuracy on the test pictures as it goes, and write the weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=32_000, help="training pictures from the cache (32000)")
    parser.add_argument("--steps", type=int, default=2500, help="optimiser steps (2500)")
    parser.add_argument("--batch", type=int, default=128, help="pictures a step (128)")
    parser.add_argument("--rate", type=float, default=2e-3, help="peak learning rate (2e-3)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--start", type=Path, help="weights to begin with, as a file of safetensors")
    parser.add_argument("--restart", action="store_true", help="ignore the checkpoint of an earlier run")
    a = parser.parse_args()

    torch.manual_seed(a.seed)
    rng = np.random.default_rng(a.seed)
    images, pictures = load_pictures(a.pictures)
    small = shrink(images)
    if not DRAWN_VOCABULARY.exists():
        write_vocabulary(DRAWN_VOCABULARY)
    open_clip.add_model_config(DRAWN_FOLDER)
    model = open_clip.create_model(DRAWN_MODEL, device=a.device)
    tokenizer = open_clip.get_tokenizer(DRAWN_MODEL, bpe_path=str(DRAWN_VOCABULARY))
    loss_of = open_clip.ClipLoss()
    if a.start is not None:
        model.load_state_dict(load_file(a.start, device=a.device))
    hints = Hints(model.visual.output_dim).to(a.device)
    readings = Reading(*(part.to(a.device) for part in true_readings(pictures)))
    decayed = [p for p in model.parameters() if p.ndim > 1] + list(hints.parameters())
    plain = [p for p in model.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.05}, {"params": plain, "weight_decay": 0.0}],
        lr=a.rate,
        betas=(0.9, 0.98),
    )
    first = 0
    if CHECKPOINT.exists() and not a.restart:
        state = torch.load(CHECKPOINT, map_location=a.device)
        model.load_state_dict(state["model"])
        hints.load_state_dict(state["hints"])
        optimiser.load_state_dict(state["optimiser"])
        first = state["step"]
    said = attribute_names(pictures)
    test = test_pictures()
    test_images = shrink(np.stack([p.render(128) for p in test]))

    with Progress(*Progress.get_default_columns(), TextColumn("{task.fields[note]}")) as progress:
        running = np.zeros(1 + len(Hints.WEIGHTS))
        task = progress.add_task("encoder", total=a.steps, completed=first, note="")
        for step in range(first, a.steps):
            warm = min(1.0, (step + 1) / 50)
            for group in optimiser.param_groups:
                group["lr"] = a.rate * warm * max(0.02, 0.5 * (1 + math.cos(math.pi * step / a.steps)))
            # Half the batches are whole captions; in the others the words for concept or texture must do alone.
            parts = PARTS if step % 2 else (("concept",), ("texture",))[step // 2 % 2]
            chosen = alike(rng, said, a.batch) if step % 2 else rng.choice(len(pictures), a.batch, replace=False)
            texts = [partial_caption(pictures[i], parts) for i in chosen]
            image_features, text_features, scale = model(
                normalise(small[chosen]).to(a.device), tokenizer(texts).to(a.device)
            )
            contrast = loss_of(image_features, text_features, scale)
            told = hints.errors(10 * image_features, pick(readings, torch.from_numpy(chosen).to(a.device)))
            loss = contrast + sum(told.values())
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            with torch.no_grad():
                model.logit_scale.clamp_(0, math.log(100))
            running += np.array([contrast.item(), *(error.item() for error in told.values())])
            progress.update(task, completed=step + 1, note=f"loss {loss.item():.2f}")
            if (step + 1) % 50 == 0 or step + 1 == a.steps:
                top1 = zero_shot(model, tokenizer, test_images, [p.concept for p in test], a.device)
                parts_said = ", ".join(
                    f"{name} {error:.3f}"
                    for name, error in zip(("contrast", *Hints.WEIGHTS), running / 50, strict=True)
                )
                running[:] = 0
                progress.console.print(f"step {step + 1}: {parts_said}, test zero-shot {top1:.3f}")
                torch.save(
                    {
                        "model": model.state_dict(),
                        "hints": hints.state_dict(),
                        "optimiser": optimiser.state_dict(),
                        "step": step + 1,
                    },
                    CHECKPOINT,
                )

    weights = {k: v.half().contiguous() if v.is_floating_point() else v for k, v in model.state_dict().items()}
    with whole_file(DRAWN_WEIGHTS) as part:
        save_file(weights, part)


class Hints(torch.nn.Module):
    """Linear readings of what a picture shows from its embedding; they help while training and are then dropped.

    Contrast alone does not start on texture, where neither tower moves before the other,
    and no caption tells the pose or how pale a picture is.

    Parameters
    ----------
    dims
        Size of the embedding.
    """

    WEIGHTS: ClassVar = {"concept": 0.3, "texture": 1.0, "flags": 0.5, "tone": 1.0, "place": 1.0}

    def __init__(self, dims: int) -> None:
        super().__init__()
        sizes = {"concept": len(CONCEPTS), "texture": len(TEXTURES), "flags": 2, "tone": 2, "place": 4}
        self.heads = torch.nn.ModuleDict({name: torch.nn.Linear(dims, size) for name, size in sizes.items()})

    def errors(self, features: torch.Tensor, reading: Reading) -> dict[str, torch.Tensor]:
        """Return the weighted error of each hint."""
        said = {name: head(features) for name, head in self.heads.items()}
        errors = {
            "concept": functional.cross_entropy(said["concept"], reading.concept.argmax(1)),
            "texture": functional.cross_entropy(said["texture"], reading.texture.argmax(1)),
            "flags": functional.binary_cross_entropy_with_logits(said["flags"], reading.flags / 2 + 0.5),
            "tone": functional.mse_loss(said["tone"], reading.tone),
            "place": functional.mse_loss(said["place"], reading.place),
        }
        return {name: weight * errors[name] for name, weight in self.WEIGHTS.items()}


def attribute_names(pictures: list[DrawnPicture]) -> dict[str, np.ndarray]:
    """Return what the captions say of each picture, besides its texture."""
    return {
        "concept": np.array([p.concept for p in pictures]),
        "hue": np.array([p.hue_name for p in pictures]),
        "ground": np.array([hue_name(p.ground_hue_deg) for p in pictures]),
        "brightness": np.array([p.brightness_name for p in pictures]),
    }


def alike(rng: np.random.Generator, said: dict[str, np.ndarray], batch: int) -> np.ndarray:
    """Return the indices of up to `batch` pictures that share most of what is easily seen.

    Colours alone tell most random pictures apart, so concept and texture would not be learnt; each attribute is mostly
    limited to a quarter of its values.
    """
    fits = np.ones(len(said["hue"]), dtype=bool)
    for values in said.values():
        if rng.uniform() < 0.7:
            names = np.unique(values)
            fits &= np.isin(values, rng.choice(names, max(1, len(names) // 4), replace=False))
    return rng.permutation(np.flatnonzero(fits))[:batch]


def shrink(images: np.ndarray) -> np.ndarray:
    """Return pictures at 64 pixels, resized as the evaluation transform does."""
    return np.stack([np.asarray(Image.fromarray(i).resize((64, 64), Image.Resampling.BICUBIC)) for i in images])


def normalise(images: np.ndarray) -> torch.Tensor:
    """Return uint8 pictures ``[n, 64, 64, 3]`` as the tower's input ``[n, 3, 64, 64]``."""
    mean, std = torch.tensor(open_clip.OPENAI_DATASET_MEAN), torch.tensor(open_clip.OPENAI_DATASET_STD)
    return ((torch.from_numpy(images) / 255 - mean) / std).permute(0, 3, 1, 2).contiguous()


@torch.no_grad()
def zero_shot(
    model: torch.nn.Module, tokenizer: open_clip.SimpleTokenizer, images: np.ndarray, concepts: list[str], device: str
) -> float:
    """Return how often the nearest of the captions "a drawing of a <concept>" names the picture."""
    model.eval()
    names = list(CONCEPTS)
    texts = [f"a drawing of a{'n' if name[0] in 'aeiou' else ''} {name}" for name in names]
    prompt = model.encode_text(tokenizer(texts).to(device), normalize=True)
    shown = model.encode_image(normalise(images).to(device), normalize=True)
    model.train()
    named = (shown @ prompt.T).argmax(1).tolist()
    return float(np.mean([names[i] == concept for i, concept in zip(named, concepts, strict=True)]))


if __name__ == "__main__":
    main()
