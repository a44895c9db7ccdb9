"""Ship a trained generator: write the averaged weights of a checkpoint as a diffusers pipeline in half precision.

python training/save_generator.py --stage distil
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import train_generator as base
from diffusers import FlowMatchLCMScheduler

from realtime.rendering.embedded.generator import WEIGHTS
from realtime.rendering.embedded.pipeline import EmbeddedPipeline
from realtime.rendering.embedded.schedule import SHIFT


def main() -> None:
    """Write the pipeline."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage", choices=tuple(base.CHECKPOINTS), default="distil")
    parser.add_argument("--folder", type=Path, default=WEIGHTS)
    a = parser.parse_args()
    both = base.build_model()
    both.load_state_dict(torch.load(base.CHECKPOINTS[a.stage], map_location="cpu")["average"])
    unet, conditioner = both.half()
    pipeline = EmbeddedPipeline(unet, conditioner, FlowMatchLCMScheduler(shift=SHIFT))
    unfinished = a.folder.with_name(a.folder.name + ".part")
    shutil.rmtree(unfinished, ignore_errors=True)
    pipeline.save_pretrained(unfinished)
    shutil.rmtree(a.folder, ignore_errors=True)
    unfinished.rename(a.folder)


if __name__ == "__main__":
    main()
