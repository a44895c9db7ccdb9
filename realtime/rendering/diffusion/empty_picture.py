"""The embedding of the empty picture, which Kandinsky's guidance leads away from: made once, kept beside the model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from realtime.rendering.diffusion.prompt import keep
from realtime.rendering.diffusion.tensor_files import check_folder, read_tensors, told_of, variant_of
from realtime.rendering.errors import GeneratorError

PICTURE_FILE = "empty_picture.safetensors"


def load_empty_picture(given: Path | None, beside: Path, encoder: Callable[[], Path]) -> Tensor:
    """Return the embedding ``[1, dims]`` of a picture of zeros.

    Parameters
    ----------
    given
        File that holds it, or folder of an image encoder; by default the file beside the model.
    beside
        The model's folder or single file.
    encoder
        Returns the folder of an image encoder; called where there is neither file nor folder.

    Raises
    ------
    GeneratorError
        If the file holds none, or the encoder is not whole.
    """
    if given is not None and not given.exists():
        msg = f"render.prompt: there is no file or folder {given}"
        raise GeneratorError(msg)
    file = beside / PICTURE_FILE if beside.is_dir() else beside.with_name(f"{beside.stem}.{PICTURE_FILE}")
    known = given if given is not None and not given.is_dir() else file
    if known.is_file():
        tensors = read_tensors(known)
        if "embeddings" not in tensors:
            msg = f"{known} holds no 'embeddings' of the empty picture; remove it to have it made again"
            raise GeneratorError(msg)
        return tensors["embeddings"]
    folder = given if given is not None and given.is_dir() else encoder()
    inner = folder / "image_encoder"
    with told_of(folder, "an image encoder"):
        embedding = embed_zeros(inner if inner.is_dir() else folder)
    keep({"embeddings": embedding}, file, "the empty picture's embedding")
    return embedding


@torch.no_grad()
def embed_zeros(folder: Path) -> Tensor:
    """Return what transformers' CLIP image encoder in `folder` makes of zeros, ``[1, dims]``, projected.

    It is loaded on the CPU, used once and let go.
    """
    from transformers import CLIPVisionModelWithProjection

    check_folder(folder)
    encoder = CLIPVisionModelWithProjection.from_pretrained(
        folder, variant=variant_of(folder, half=True), local_files_only=True
    )
    side = encoder.config.image_size
    embedding: Tensor = encoder.float().eval()(torch.zeros(1, 3, side, side)).image_embeds
    return embedding
