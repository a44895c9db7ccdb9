"""The settings of the generators."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from configs.base import Settings

MAX_STEPS = 50
"""Steps of one picture; the consistency samplers' own grid has no more."""
TRAINING_STEPS = 1000
"""Noise levels that the published diffusion models were trained on."""
OWN_SIZES = {"embedded": 128, "sdxl-turbo": 512, "sd15-few-step": 512, "unclip": 768, "kandinsky22": 512}
"""Width and height in pixels of the pictures that each generator was trained on."""
OWN_GUIDANCE = {"unclip": 7.5, "kandinsky22": 4.0}
"""Weight of the condition that the generators with guidance were published with."""


class RenderSettings(Settings):
    """How an embedding becomes a picture; from `adapter` to `download` for the generators other than `embedded`."""

    generator: Literal["embedded", "sdxl-turbo", "sd15-few-step", "unclip", "kandinsky22"] = "embedded"
    """What paints; docs/rendering.md compares them."""
    steps: Annotated[int, Field(ge=1, le=MAX_STEPS)] = 4
    """Denoising steps of a picture: fewer are faster, and each one is shown."""
    seed: int = 0
    """Seed of the noise that painting starts from; the same embedding, seed and steps give the same picture."""
    weights: str | None = None
    """Hub id, local folder or single file; the generator's own default when left out, as for all weights below."""
    adapter: str | None = None
    """IP-Adapter: a file, or ``owner/name/file`` on the hub."""
    adapter_scale: Annotated[float, Field(ge=0, le=2)] = 1.0
    """Weight of the embedding beside the empty prompt."""
    lora: str | None = None
    """Distilled low-rank weights: a file, ``owner/name/file`` on the hub, or ``none``."""
    prompt: Path | None = None
    """File with the embeddings of the empty prompt; by default it is made and kept beside the weights. `kandinsky22`:
    with the embedding of the empty picture, or the folder of an image encoder that makes it."""
    decoder: Literal["tiny", "full"] = "tiny"
    """``tiny`` is TAESD; ``full`` is the model's own autoencoder, eighteen times the work. `kandinsky22` has its own
    alone, whatever stands here."""
    decoder_weights: str | None = None
    """Hub id, local folder or file of the decoder's weights."""
    sampler: Literal["euler", "euler-ancestral", "lcm", "tcd", "dpm++", "unipc"] | None = None
    """The one that the weights were distilled for when left out."""
    timesteps: tuple[Annotated[int, Field(ge=0, lt=TRAINING_STEPS)], ...] | None = None
    """Noise level of each step, falling, for weights that were distilled for others than the sampler's own; `steps` is
    then how many there are."""
    eta: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Fresh noise in each step of ``tcd``."""
    guidance: Annotated[float, Field(ge=0, le=20)] | None = None
    """`unclip`, `kandinsky22`: weight of the condition; 1 and less means no guidance and half the work. When left out
    7.5 and 4, as they were published."""
    noise_level: Annotated[int, Field(ge=0, lt=1000)] = 0
    """`unclip`: noise on the embedding, of which the network is told."""
    size: Annotated[int, Field(ge=64, le=1024, multiple_of=64)] | None = None
    """Width and height of a picture; what the generator was trained on when left out."""
    pictures: Annotated[int, Field(ge=1, le=8)] = 1
    """Pictures of one embedding from as many seeds, side by side: what they share is what was decoded."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where pictures are painted; ``auto`` is a GPU where there is one."""
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    """Arithmetic; ``auto`` is float16 on a GPU and float32 on a CPU."""
    compile: bool = False
    """Compile network and decoder: minutes at the start for some percent of each step."""
    download: bool = False
    """Whether weights that are not on this machine are downloaded."""
    reuse_above: Annotated[float, Field(gt=0, le=1)] | None = None
    """Cosine with the embedding of the last picture from which that picture is shown again; the frame says so."""
    warm_above: Annotated[float, Field(gt=0, le=1)] | None = None
    """Cosine from which painting starts from the last picture and takes half of the steps; the frame says so."""
    flow: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Have the picture glide: each percept moves it so much less than the whole way from the last one, in `steps`
    pictures that each start from the one before. For the screen alone: what is kept is painted from noise."""
    low_level: bool = False
    """Start from the layout that the bundle's low-level map sees (`fit.low_level_rank`) in place of pure noise."""
    low_level_strength: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the steps that is taken from there: 1 takes all, and the layout only tints the noise."""
    remote: bool = False
    """Paint on other machines, by ``perceptogram worker``, through the broker at ``control.url``."""

    @property
    def pixels(self) -> int:
        """Width and height of a picture: `size`, or the generator's own."""
        return OWN_SIZES[self.generator] if self.size is None else self.size

    @property
    def weight(self) -> float:
        """Weight of the condition: `guidance`, or the generator's own; 1 for those that know none."""
        return OWN_GUIDANCE.get(self.generator, 1.0) if self.guidance is None else self.guidance

    @property
    def autoencoder(self) -> Literal["tiny", "full"]:
        """What decodes: `decoder`, or the generator's own where there is no tiny one."""
        return "full" if self.generator == "kandinsky22" else self.decoder

    @model_validator(mode="after")
    def _painted(self) -> RenderSettings:
        if self.generator == "embedded" and self.size not in (None, OWN_SIZES["embedded"]):
            msg = (
                f"size: the embedded generator paints {OWN_SIZES['embedded']} pixels; leave it out (given: {self.size})"
            )
            raise ValueError(msg)
        if self.timesteps is None:
            return self
        if self.generator == "embedded":
            msg = "timesteps: the embedded generator has its own; leave them out, or choose another generator"
            raise ValueError(msg)
        if len(self.timesteps) != self.steps:
            msg = f"timesteps are those of {len(self.timesteps)} steps: set steps to that number (given: {self.steps})"
            raise ValueError(msg)
        if any(later >= earlier for earlier, later in pairwise(self.timesteps)):
            msg = f"timesteps must fall, from noise to picture (given: {list(self.timesteps)})"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _spared(self) -> RenderSettings:
        if self.warm_above is not None and self.generator == "embedded":
            msg = "warm_above: the embedded generator starts from noise, or glides (flow); choose another generator"
            raise ValueError(msg)
        if self.low_level and self.generator == "embedded":
            msg = "low_level: the embedded generator always starts from noise; choose another generator"
            raise ValueError(msg)
        if self.low_level and self.warm_above is not None:
            msg = "low_level and warm_above both say what painting starts from; choose one"
            raise ValueError(msg)
        if self.warm_above is not None and self.steps < 2:
            msg = f"warm_above spares half of the steps and needs at least 2 (steps: {self.steps})"
            raise ValueError(msg)
        if self.flow and (self.low_level or self.warm_above is not None or self.reuse_above is not None):
            msg = "flow says itself what painting starts from; leave out low_level, warm_above and reuse_above"
            raise ValueError(msg)
        if self.flow and (self.remote or self.steps < 2):
            msg = f"flow takes 2 steps or more, and a renderer on this machine (steps: {self.steps})"
            raise ValueError(msg)
        if self.remote and (self.warm_above is not None or self.reuse_above is not None):
            msg = "reuse_above and warm_above look at the last picture; with remote, others' pictures come between"
            raise ValueError(msg)
        return self
