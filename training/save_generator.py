"""Ship a trained generator: the averaged UNet and the reader as a diffusers pipeline in half precision.

python training/save_generator.py --stage few_step
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import train_generator as base
import train_reader
from diffusers import FlowMatchLCMScheduler
from networks import build_model

from realtime.rendering.embedded.generator import WEIGHTS
from realtime.rendering.embedded.pipeline import EmbeddedPipeline
from realtime.rendering.embedded.schedule import SHIFT


def main() -> None:
    """Write the pipeline."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage", choices=tuple(base.CHECKPOINTS), default="few_step")
    parser.add_argument("--folder", type=Path, default=WEIGHTS)
    a = parser.parse_args()
    if a.folder.exists() and not (a.folder / "model_index.json").is_file():
        parser.error(f"{a.folder} holds no pipeline, and is not deleted for one: give another --folder")
    both = build_model()
    both.load_state_dict(torch.load(base.CHECKPOINTS[a.stage], map_location="cpu")["average"])
    unet, conditioner = both
    reader = torch.load(train_reader.CHECKPOINT, map_location="cpu")
    conditioner.reader.load_state_dict(reader["reader"])
    conditioner.mean.copy_(reader["mean"])
    conditioner.std.copy_(reader["std"])
    pipeline = EmbeddedPipeline(unet.half(), conditioner.half(), FlowMatchLCMScheduler(shift=SHIFT))
    unfinished = a.folder.with_name(a.folder.name + ".part")
    shutil.rmtree(unfinished, ignore_errors=True)
    pipeline.save_pretrained(unfinished)
    shutil.rmtree(a.folder, ignore_errors=True)
    unfinished.rename(a.folder)


if __name__ == "__main__":
    main()
