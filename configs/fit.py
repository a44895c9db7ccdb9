"""The settings of a fit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from configs.base import Settings

Positive = Annotated[float, Field(gt=0)]


class FitSettings(Settings):
    """How the map is fitted."""

    model: str = "perceptogram-drawn"
    """Encoder of the pictures, whose embedding the map learns; ``perceptogram-drawn`` comes along, others are open_clip
    models."""
    pretrained: str = "builtin"
    """The encoder's weights: a tag of open_clip's or a local file."""
    encoder_weights: Path | None = None
    """File on this machine that holds the weights that `pretrained` names, or an ``image_encoder`` folder."""
    download: bool = False
    """Whether weights of `model` that are not on this machine may be fetched; ViT-H-14 takes 4 GB."""
    choose: Literal["identification", "error"] = "identification"
    """What alpha and the prior over time are chosen by: how well held-out trials are told apart; ``error`` chooses
    alpha alone, by squared error, and uses samples as they are."""
    compare: Literal["likelihood", "angle"] = "likelihood"
    """By what decoded embeddings are compared with pictures: how likely each makes them, where that tells held-out
    training trials apart better than the angle does; or ever the angle."""
    windows: tuple[tuple[float, float], ...] = ((0.04, 0.5),)
    """Shorter parts of the window where answers are expected most, each start and stop in seconds after onset."""
    step_s: Positive = 0.016
    """Length of the steps that are averaged where the noise is whitened in space and time."""
    smooth_s: tuple[Annotated[float, Field(ge=0)], ...] = (0.02, 0.0)
    """Time scales in seconds of the answers that the map's prior expects; 0 for those that vary as the noise does."""
    whiten: bool = True
    """Take the channels' shared noise out of samples that are used as they are."""
    alphas: tuple[Positive, ...] = tuple(10.0**k for k in range(9))
    """Strengths of the ridge penalty to choose from by cross-validation."""
    folds: Annotated[int, Field(ge=2)] = 5
    """Parts of the cross-validation."""
    group_by: Literal["picture", "recording"] = "picture"
    """What is never both learned from and tested on: all trials of a picture, or a whole recording."""
    average_repeats: bool = False
    """Learn from the mean of the trials of each picture, in place of single trials."""
    identification: Literal["same", "contrastive", "auto"] = "same"
    """What tells pictures apart: the embedding that is painted (``same``), or a second output of the same product that
    learned nothing but to tell them apart; ``auto`` takes the second where it is better in cross-validation, trained
    only where that helps."""
    identification_model: str | None = None
    """Image tower that the second output learns: `model` when left out, another of open_clip's with its weights
    (``ViT-L-14/openai``), or one of timm's (``timm/vit_large_patch14_dinov2.lvd142m``)."""
    identification_weights: Path | None = None
    """File on this machine that holds the tower's weights, in place of published ones."""
    identification_layers: tuple[Annotated[int, Field(ge=1)], ...] = ()
    """Which of the tower's blocks, counted from 1, the mean over positions; its output when left out."""
    identification_mix: Literal["mean", "learnt"] = "mean"
    """Whether several layers count alike, or as much as helps to tell pictures apart."""
    identification_dims: Annotated[int, Field(ge=2, le=4096)] = 256
    """Size of the second output at most."""
    identification_decay: tuple[Annotated[float, Field(ge=0)], ...] = (0.0, 0.1, 1.0)
    """Penalties on the share of noise in the second output, to choose from on held-out pictures."""
    residual: bool = False
    """Correct the second output by a small network once the window is whole."""
    low_level_rank: Annotated[int, Field(ge=0, le=1000)] = 0
    """Size of the second map, from EEG to the layout that `render.low_level` starts from; 0 fits none."""
    memory: bool = True
    """Keep in the bundle what a later fit needs of the trials, so that it can start from this one."""
    permutations: Annotated[int, Field(ge=0)] = 1000
    """Shuffles of the labels behind p; 0 leaves p out."""
    exchange: Literal["auto", "shift"] = "auto"
    """How labels of classes change places behind p: shuffled, or moved along in time where they came in blocks;
    ``shift`` moves them along by as many trials in every recording, as where recordings share one order of trials."""
    seed: int = 0
    """Seed of the folds, the shuffles and the intervals."""

    def moved(self, by_s: float) -> FitSettings:
        """Return the settings with the windows to choose from moved in time, as for pre-stimulus windows."""
        return self.model_copy(update={"windows": tuple((start + by_s, stop + by_s) for start, stop in self.windows)})
