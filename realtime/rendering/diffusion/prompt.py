"""The empty prompt: all that is ever said to the generators in words, embedded once and kept beside the model."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from configs.files import whole_file
from realtime.rendering.diffusion.tensor_files import check_folder, read_tensors, tensor_names, told_of, variant_of
from realtime.rendering.errors import GeneratorError

logger = logging.getLogger(__name__)

PROMPT_FILE = "empty_prompt.safetensors"

TOKENS = 77
_START, _END = 49406, 49407
_CLIP_L = ("conditioner.embedders.0.transformer.", "cond_stage_model.transformer.")
"""Where SDXL and SD 1.5 have OpenAI's text encoder in a single file."""
_OPEN_CLIP = ("conditioner.embedders.1.model.", "cond_stage_model.model.")
"""Where SDXL and SD 2.1 have OpenCLIP's text encoder in a single file."""
_HEAD_WIDTH = 64

Encoded = Any
"""Output of one of transformers' CLIP text models."""


def load_prompt(given: Path | None, beside: Path) -> dict[str, Tensor]:
    """Return the embeddings of the empty prompt; where there are none, make them and keep them beside the model.

    Parameters
    ----------
    given
        File that holds them; by default the one beside the model.
    beside
        The model's folder or single file.

    Raises
    ------
    GeneratorError
        If the file is not there, or if there is neither a file nor a text encoder.
    """
    if given is not None and not given.is_file():
        msg = f"render.prompt: there is no file {given}"
        raise GeneratorError(msg)
    # many single files share a folder, each with a prompt of its own
    own = beside / PROMPT_FILE if beside.is_dir() else beside.with_name(f"{beside.stem}.{PROMPT_FILE}")
    embed = _way_to_embed(beside)
    shared = [] if embed is not None or beside.is_dir() else [beside.with_name(PROMPT_FILE)]
    for file in [given] if given is not None else [own, *shared]:
        if file.is_file():
            prompt = read_tensors(file)
            if "embeddings" not in prompt:
                msg = f"{file} holds no 'embeddings' of the empty prompt; remove it to have it made again"
                raise GeneratorError(msg)
            return prompt
    if embed is None:
        msg = (
            f"no text encoder in {beside} to embed the empty prompt with; set render.prompt to the {PROMPT_FILE} "
            "of a folder of the same family"
        )
        raise GeneratorError(msg)
    with told_of(beside, "a text encoder"):
        prompt = embed(beside)
    keep(prompt, own, "the empty prompt's embeddings")
    return prompt


def keep(made: Mapping[str, Tensor], file: Path, what: str) -> None:
    """Keep what was made once for the next start.

    Parameters
    ----------
    made
        Tensors.
    file
        Where; that it may not be written to is told and is no fault.
    what
        Name for people.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        with whole_file(file) as part:
            save_file(dict(made), part)
    except (OSError, SafetensorError) as error:  # a folder that only others may write to is no fault
        logger.warning("cannot keep %s in %s (%s); made again at every start", what, file, error)


def _way_to_embed(beside: Path) -> Callable[[Path], dict[str, Tensor]] | None:
    """Return what embeds the empty prompt with the text encoders that are there; None if there are none."""
    if beside.is_dir():
        return embed_with_folder if (beside / "text_encoder").is_dir() else None
    return embed_with_file if any(name.startswith((*_CLIP_L, *_OPEN_CLIP)) for name in tensor_names(beside)) else None


@torch.no_grad()
def embed_with_folder(folder: Path) -> dict[str, Tensor]:
    """Return the empty prompt as the one text encoder of Stable Diffusion or the two of SDXL in `folder` embed it.

    They are loaded on the CPU, used once and let go: no text encoder is in memory while pictures are painted.
    """
    from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

    def encode(kind: Any, suffix: str, *, hidden: bool) -> Encoded:
        tokenizer = CLIPTokenizer.from_pretrained(folder / f"tokenizer{suffix}", local_files_only=True)
        place = folder / f"text_encoder{suffix}"
        check_folder(place)
        encoder = kind.from_pretrained(place, variant=variant_of(place, half=True), local_files_only=True).float()
        length = tokenizer.model_max_length
        tokens = tokenizer("", padding="max_length", max_length=length, truncation=True, return_tensors="pt")
        return encoder.eval()(tokens.input_ids, output_hidden_states=hidden)

    if not (folder / "text_encoder_2").is_dir():
        return {"embeddings": encode(CLIPTextModel, "", hidden=False).last_hidden_state.contiguous()}
    first = encode(CLIPTextModel, "", hidden=True)
    return _both(first, encode(CLIPTextModelWithProjection, "_2", hidden=True))


@torch.no_grad()
def embed_with_file(path: Path) -> dict[str, Tensor]:
    """Return the empty prompt as the text encoders in a single file of a whole model embed it."""
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    tensors = read_tensors(path, (*_CLIP_L, *_OPEN_CLIP))
    sdxl, plain = (_below(prefix, tensors) for prefix in _CLIP_L)
    second, open_clip = (_renamed(_below(prefix, tensors)) for prefix in _OPEN_CLIP)
    if plain:
        return {"embeddings": _encode(CLIPTextModel, plain, "quick_gelu", _END).last_hidden_state.contiguous()}
    if sdxl and second:
        first = _encode(CLIPTextModel, sdxl, "quick_gelu", _END)
        return _both(first, _encode(CLIPTextModelWithProjection, second, "gelu", 0))
    # SD 2 was trained on the layer before the last, normalised: as if there were no last one
    last = f"text_model.encoder.layers.{_layers(open_clip) - 1}."
    kept = {n: t for n, t in open_clip.items() if not n.startswith(last) and n != "text_projection.weight"}
    return {"embeddings": _encode(CLIPTextModel, kept, "gelu", 0).last_hidden_state.contiguous()}


def _both(first: Encoded, second: Encoded) -> dict[str, Tensor]:
    """Return what SDXL was trained on: the layer before the last of both, and the second's whole."""
    joined = torch.cat([first.hidden_states[-2], second.hidden_states[-2]], dim=-1)
    return {"embeddings": joined, "pooled": second.text_embeds.contiguous()}


def _encode(kind: Any, tensors: Mapping[str, Tensor], activation: str, filling: int) -> Encoded:
    """Return what a text encoder makes of the empty prompt; the shapes of its tensors say how large it is."""
    from transformers import CLIPTextConfig

    vocabulary, width = tensors["text_model.embeddings.token_embedding.weight"].shape
    config = CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=tensors["text_model.encoder.layers.0.mlp.fc1.weight"].shape[0],
        projection_dim=width,
        num_hidden_layers=_layers(tensors),
        num_attention_heads=width // _HEAD_WIDTH,
        max_position_embeddings=TOKENS,
        hidden_act=activation,
        bos_token_id=_START,
        eos_token_id=_END,
    )
    state = {name: tensor.float() for name, tensor in tensors.items()}
    encoder, report = kind.from_pretrained(None, config=config, state_dict=state, output_loading_info=True)
    if report["missing_keys"]:
        msg = f"{min(report['missing_keys'])} is missing"
        raise KeyError(msg)
    tokens = torch.tensor([[_START, _END, *[filling] * (TOKENS - 2)]])
    return encoder.eval()(tokens, output_hidden_states=True)


def _layers(tensors: Mapping[str, Tensor]) -> int:
    return len({name.split(".")[3] for name in tensors if name.startswith("text_model.encoder.layers.")})


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _renamed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return an OpenCLIP text encoder's tensors under the names of transformers'."""
    renamed = {}
    whole = {
        "token_embedding.weight": "embeddings.token_embedding.weight",
        "positional_embedding": "embeddings.position_embedding.weight",
        "ln_final.weight": "final_layer_norm.weight",
        "ln_final.bias": "final_layer_norm.bias",
    }
    inside = {
        "ln_1": "layer_norm1",
        "ln_2": "layer_norm2",
        "mlp.c_fc": "mlp.fc1",
        "mlp.c_proj": "mlp.fc2",
        "attn.out_proj": "self_attn.out_proj",
    }
    for name, tensor in tensors.items():
        if name in whole:
            renamed[f"text_model.{whole[name]}"] = tensor
        elif name == "text_projection":
            renamed["text_projection.weight"] = tensor.T
        elif name.startswith("transformer.resblocks."):
            _, _, number, rest = name.split(".", 3)
            layer, kind = f"text_model.encoder.layers.{number}", rest.rpartition(".")[2]
            if rest.startswith("attn.in_proj_"):
                for letter, part in zip("qkv", tensor.chunk(3), strict=True):
                    renamed[f"{layer}.self_attn.{letter}_proj.{kind.removeprefix('in_proj_')}"] = part
            else:
                renamed[f"{layer}.{inside[rest.rpartition('.')[0]]}.{kind}"] = tensor
    return renamed
