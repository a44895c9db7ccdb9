"""Tiny weights under the file names, tensor names and arithmetic of the public repositories.

The names are those of the original code of Stable Diffusion, unCLIP, SDXL, OpenCLIP and TAESD, written down here anew:
nothing is taken from the code under test. OpenCLIP's text encoders are OpenCLIP's own.
"""

from __future__ import annotations

import json
from functools import cache

import torch
from safetensors.torch import save_file

from tests.support import tiny_models  # first: it makes torchvision load
from tests.support.tiny_models import WIDTH, diffusers

import open_clip  # isort: skip
import transformers  # isort: skip

TOKENS = 77
START, END = 49406, 49407
_TEXT = {"vocab_size": 49408, "context_length": TOKENS, "width": WIDTH, "heads": 1, "layers": 3}
_VISION = {"image_size": 32, "layers": 1, "width": 64, "patch_size": 32}
_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_TOP = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "class_embedding.linear_1": "label_emb.0.0",
    "class_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}


def original_unet(unet):
    """Return a UNet's tensors under the original names: two layers a block, numbered through."""
    renamed = {}
    ups = [hasattr(block, "attentions") for block in unet.up_blocks]
    for name, tensor in unet.state_dict().items():
        layer, kind = name.rsplit(".", 1)
        if layer in _TOP:
            renamed[f"{_TOP[layer]}.{kind}"] = tensor
            continue
        block, rest = name.split(".", 1)
        if block == "mid_block":
            part, index, rest = rest.split(".", 2)
            place = f"middle_block.{1 if part == 'attentions' else 2 * int(index)}"
        else:
            number, part, index, rest = rest.split(".", 3)
            number, index = int(number), int(index)
            inner = {"resnets": 0, "attentions": 1}.get(part)
            if part == "downsamplers":
                place, rest = f"input_blocks.{3 * (number + 1)}.0", rest.replace("conv", "op")
            elif part == "upsamplers":
                place = f"output_blocks.{3 * number + 2}.{1 + ups[number]}"
            elif block == "down_blocks":
                place = f"input_blocks.{3 * number + index + 1}.{inner}"
            else:
                place = f"output_blocks.{3 * number + index}.{inner}"
        if part == "resnets":
            inside, kind = rest.rsplit(".", 1)
            rest = f"{_RESNET[inside]}.{kind}"
        renamed[f"{place}.{rest}"] = tensor
    return renamed


def original_autoencoder(autoencoder):
    """Return a full autoencoder's tensors under the original names; attention is made of 1x1 convolutions there."""
    attention = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
    renamed = {}
    for name, tensor in autoencoder.state_dict().items():
        new = name.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
        parts = new.split(".")
        if len(parts) > 2 and parts[1] in ("down_blocks", "up_blocks"):
            number = int(parts[2]) if parts[1] == "down_blocks" else 3 - int(parts[2])
            side = parts[1].partition("_")[0]
            if parts[3] == "resnets":
                new = ".".join([parts[0], side, str(number), "block", *parts[4:]])
            else:
                new = f"{parts[0]}.{side}.{number}.{side}sample.conv.{parts[-1]}"
        elif len(parts) > 2 and parts[1] == "mid_block" and parts[2] == "resnets":
            new = ".".join([parts[0], "mid", f"block_{int(parts[3]) + 1}", *parts[4:]])
        elif len(parts) > 2 and parts[1] == "mid_block":
            inside, kind = ".".join(parts[4:]).rsplit(".", 1)
            new = f"{parts[0]}.mid.attn_1.{attention[inside]}.{kind}"
            tensor = tensor[:, :, None, None] if tensor.ndim == 2 else tensor
        renamed[new] = tensor
    return renamed


def original_tiny_decoder(tiny):
    """Return the tensors of ``taesd_decoder.safetensors``: a list of layers, of which the first has none."""
    return {
        f"{int(name.split('.')[2]) + 1}.{name.split('.', 3)[3]}": tensor
        for name, tensor in tiny.state_dict().items()
        if name.startswith("decoder.")
    }


def openai_text_encoder():
    """Return OpenAI's text encoder as transformers has it, and its tensors under the names of the published files."""
    torch.manual_seed(21)
    config = transformers.CLIPTextConfig(
        vocab_size=49408,
        hidden_size=WIDTH,
        intermediate_size=4 * WIDTH,
        num_hidden_layers=3,
        num_attention_heads=1,
        projection_dim=WIDTH,
        hidden_act="quick_gelu",
    )
    encoder = transformers.CLIPTextModel(config).eval()
    tensors = {f"text_model.{name.removeprefix('text_model.')}": t for name, t in encoder.state_dict().items()}
    return encoder, tensors | {"text_model.embeddings.position_ids": torch.arange(TOKENS)[None]}


def open_clip_text_encoder():
    """Return OpenCLIP's model, and the tensors of it that the published files hold."""
    torch.manual_seed(22)
    model = open_clip.CLIP(embed_dim=WIDTH, vision_cfg=_VISION, text_cfg=_TEXT).eval()
    torch.nn.init.normal_(model.text_projection)
    return model, {name: t for name, t in model.state_dict().items() if not name.startswith("visual.")}


@torch.no_grad()
def open_clip_states(model):
    """Return the state before OpenCLIP's last layer, ``[1, 77, width]``, and the pooled embedding, ``[1, width]``."""
    tokens = torch.tensor([[START, END, *[0] * (TOKENS - 2)]])
    state = model.token_embedding(tokens) + model.positional_embedding
    for block in model.transformer.resblocks[:-1]:
        state = block(state, attn_mask=model.attn_mask)
    return state, model.encode_text(tokens)


@cache
@torch.no_grad()
def whole_model(family):
    """Return all tensors of a whole model in one file under the original names, and the empty prompt's embeddings."""
    tensors = {f"model.diffusion_model.{name}": t for name, t in original_unet(tiny_models.shared_unet(family)).items()}
    tensors |= {f"first_stage_model.{n}": t for n, t in original_autoencoder(tiny_models.full_decoder(family)).items()}
    tensors["betas"] = torch.zeros(1000)
    ids = torch.tensor([[START, *[END] * (TOKENS - 1)]])
    if family == "sd15":
        encoder, inside = openai_text_encoder()
        tensors |= {f"cond_stage_model.transformer.{name}": t for name, t in inside.items()}
        prompt = {"embeddings": encoder(ids).last_hidden_state}
    elif family == "unclip":
        model, inside = open_clip_text_encoder()
        tensors |= {f"cond_stage_model.model.{name}": t for name, t in inside.items()}
        tensors["embedder.model.visual.proj"] = torch.zeros(4, 4)
        prompt = {"embeddings": model.ln_final(open_clip_states(model)[0])}
    else:
        encoder, first = openai_text_encoder()
        model, second = open_clip_text_encoder()
        tensors |= {f"conditioner.embedders.0.transformer.{name}": t for name, t in first.items()}
        tensors |= {f"conditioner.embedders.1.model.{name}": t for name, t in second.items()}
        state, pooled = open_clip_states(model)
        joined = torch.cat([encoder(ids, output_hidden_states=True).hidden_states[-2], state], dim=-1)
        prompt = {"embeddings": joined, "pooled": pooled}
    return tensors, prompt


def write(tensors, file, dtype=torch.float32):
    """Write tensors as ``.safetensors``, or as a training run's checkpoint."""
    tensors = {n: (t.to(dtype) if t.is_floating_point() else t).contiguous().clone() for n, t in tensors.items()}
    if file.suffix == ".safetensors":
        save_file(tensors, file)
    else:
        torch.save({"state_dict": tensors, "global_step": 1}, file)
    return file


VOCABULARY = ["!", "a", "b", "a</w>", "b</w>", "<|startoftext|>", "<|endoftext|>"]


def write_text_encoder(folder, suffix, pad, variant=None):
    """Write a text encoder and its tokenizer as a diffusers folder has them."""
    torch.manual_seed(len(suffix))
    config = transformers.CLIPTextConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=WIDTH,
        intermediate_size=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        projection_dim=WIDTH,
        max_position_embeddings=TOKENS,
        bos_token_id=5,
        eos_token_id=6,
        pad_token_id=0,
    )
    kind = transformers.CLIPTextModelWithProjection if suffix else transformers.CLIPTextModel
    encoder = kind(config)
    if variant:
        encoder.half()
    encoder.save_pretrained(folder / f"text_encoder{suffix}", variant=variant)
    source = folder / "vocabulary"
    source.mkdir(exist_ok=True)
    (source / "vocab.json").write_text(json.dumps({word: index for index, word in enumerate(VOCABULARY)}))
    (source / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = transformers.CLIPTokenizer(
        str(source / "vocab.json"), str(source / "merges.txt"), pad_token=pad, model_max_length=TOKENS
    )
    tokenizer.save_pretrained(folder / f"tokenizer{suffix}")


def write_folder(folder, family, variant=None):
    """Write a whole model as a diffusers folder, in half precision alone if that is the variant."""
    decoder = "movq" if family == "kandinsky22" else "vae"
    unet = tiny_models.make_unet(family) if variant else tiny_models.shared_unet(family)
    for name, part in (("unet", unet), (decoder, tiny_models.full_decoder(family))):
        (part.half() if variant else part).save_pretrained(folder / name, variant=variant)
    if family == "kandinsky22":
        write_image_encoder(folder / "prior" / "image_encoder", variant)
        return folder
    write_text_encoder(folder, "", "!" if family == "unclip" else "<|endoftext|>", variant)
    if family == "sdxl":
        write_text_encoder(folder, "_2", "!", variant)
    return folder


def write_image_encoder(folder, variant=None):
    """Write the image encoder that Kandinsky's prior has beside it."""
    torch.manual_seed(31)
    config = transformers.CLIPVisionConfig(
        hidden_size=WIDTH,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=32,
        patch_size=16,
        projection_dim=tiny_models.SPACES["kandinsky22"],
    )
    encoder = transformers.CLIPVisionModelWithProjection(config)
    encoder.visual_projection.weight.data *= 2
    (encoder.half() if variant else encoder).save_pretrained(folder, variant=variant)


def write_normalizer(folder):
    """Write the statistics of embeddings that unCLIP's folder has, and return what diffusers makes of them."""
    torch.manual_seed(32)
    normalizer = diffusers.pipelines.stable_diffusion.StableUnCLIPImageNormalizer(tiny_models.DIMS)
    normalizer.mean.data = 0.3 * torch.randn(1, tiny_models.DIMS)
    normalizer.std.data = 0.5 + torch.rand(1, tiny_models.DIMS)
    normalizer.save_pretrained(folder / "image_normalizer")
    return normalizer


@torch.no_grad()
def stock_prompt(folder):
    """Return the empty prompt as the stock pipelines embed it with the text encoders of a folder.

    Of Kandinsky, the empty picture as its prior embeds it.
    """
    encoder_folder = folder / "prior" / "image_encoder"
    if encoder_folder.is_dir():
        half = any(encoder_folder.glob("*.fp16.safetensors"))
        encoder = transformers.CLIPVisionModelWithProjection.from_pretrained(
            encoder_folder, variant="fp16" if half else None, dtype=torch.float32
        )
        parts = dict.fromkeys(("prior", "text_encoder", "tokenizer", "scheduler", "image_processor"))
        prior = diffusers.KandinskyV22PriorPipeline(image_encoder=encoder, **parts)
        return {"embeddings": prior.get_zero_embed()}

    def part(kind, suffix):
        name = "tokenizer" if "Tokenizer" in kind.__name__ else "text_encoder"
        return kind.from_pretrained(folder / f"{name}{suffix}", **({} if name == "tokenizer" else variant))

    half = any((folder / "text_encoder").glob("*.fp16.safetensors"))
    variant = {"variant": "fp16" if half else None, "dtype": torch.float32}
    shared = {
        "vae": None,
        "unet": None,
        "scheduler": diffusers.DDIMScheduler(steps_offset=1, clip_sample=False),
        "text_encoder": part(transformers.CLIPTextModel, ""),
        "tokenizer": part(transformers.CLIPTokenizer, ""),
    }
    if (folder / "text_encoder_2").is_dir():
        pipe = diffusers.StableDiffusionXLPipeline(
            text_encoder_2=part(transformers.CLIPTextModelWithProjection, "_2"),
            tokenizer_2=part(transformers.CLIPTokenizer, "_2"),
            add_watermarker=False,
            **shared,
        )
        text, _, pooled, _ = pipe.encode_prompt("", device="cpu", do_classifier_free_guidance=False)
        return {"embeddings": text, "pooled": pooled}
    pipe = diffusers.StableDiffusionPipeline(
        safety_checker=None, feature_extractor=None, requires_safety_checker=False, **shared
    )
    return {"embeddings": pipe.encode_prompt("", "cpu", 1, do_classifier_free_guidance=False)[0]}
