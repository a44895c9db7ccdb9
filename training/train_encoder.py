"""Train the small encoder: an open_clip model on drawn pictures and their captions.

    python training/pictures.py --count 32000
    python training/train_encoder.py

Loss: open_clip's own contrastive loss (Radford et al., "Learning Transferable Visual Models From Natural Language
Supervision", 2021). A run that was stopped goes on from its last checkpoint; `--restart` begins anew.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.progress import Progress, TextColumn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from configs.torchvision_shim import load_torchvision

load_torchvision()

import open_clip
from captions import short_caption, write_vocabulary
from pictures import CACHE, load_pictures
from safetensors.torch import save_file

from calibration.embeddings import DRAWN_FOLDER, DRAWN_MODEL, DRAWN_VOCABULARY, DRAWN_WEIGHTS
from stimuli.drawn.concepts import CONCEPTS
from stimuli.drawn.manifest import test_pictures

CHECKPOINT = CACHE / "encoder.pt"


def main() -> None:
    """Train, print the zero-shot accuracy on the test pictures as it goes, and write the weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=32_000, help="training pictures from the cache (32000)")
    parser.add_argument("--steps", type=int, default=1000, help="optimiser steps (1000)")
    parser.add_argument("--batch", type=int, default=128, help="pictures a step (128)")
    parser.add_argument("--rate", type=float, default=2e-3, help="peak learning rate (2e-3)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
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
    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.05}, {"params": plain, "weight_decay": 0.0}], lr=a.rate, betas=(0.9, 0.98)
    )
    first = 0
    if CHECKPOINT.exists() and not a.restart:
        state = torch.load(CHECKPOINT, map_location=a.device)
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        first = state["step"]
    test = test_pictures()
    test_images = shrink(np.stack([p.render(128) for p in test]))

    with Progress(*Progress.get_default_columns(), TextColumn("{task.fields[note]}")) as progress:
        task = progress.add_task("encoder", total=a.steps, completed=first, note="")
        for step in range(first, a.steps):
            warm = min(1.0, (step + 1) / 50)
            for group in optimiser.param_groups:
                group["lr"] = a.rate * warm * max(0.02, 0.5 * (1 + math.cos(math.pi * step / a.steps)))
            chosen = rng.choice(len(pictures), a.batch, replace=False)
            # Half the captions lose most attributes, which makes the text tower name the concept; duplicates stay few.
            texts = [short_caption(pictures[i], rng, keep=0.35 if rng.uniform() < 0.5 else 1.0) for i in chosen]
            image_features, text_features, scale = model(
                normalise(small[chosen]).to(a.device), tokenizer(texts).to(a.device)
            )
            loss = loss_of(image_features, text_features, scale)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            with torch.no_grad():
                model.logit_scale.clamp_(0, math.log(100))
            progress.update(task, completed=step + 1, note=f"loss {loss.item():.2f}")
            if (step + 1) % 100 == 0 or step + 1 == a.steps:
                top1 = zero_shot(model, tokenizer, test_images, [p.concept for p in test], a.device)
                progress.console.print(f"step {step + 1}: loss {loss.item():.3f}, test zero-shot {top1:.3f}")
                torch.save({"model": model.state_dict(), "optimiser": optimiser.state_dict(), "step": step + 1}, CHECKPOINT)

    weights = {k: v.half().contiguous() if v.is_floating_point() else v for k, v in model.state_dict().items()}
    unfinished = DRAWN_WEIGHTS.with_suffix(".part")
    save_file(weights, unfinished)
    unfinished.rename(DRAWN_WEIGHTS)


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
