"""Image and text embeddings by an open_clip model: the project's own small encoder or any other.

Embeddings are projected but not normalised: that is what unCLIP and IP-Adapter generators were trained on.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from calibration.data.image_tower import FILES, as_open_clip, tower_file
from configs.errors import InputError
from configs.files import whole_file
from realtime.rendering.diffusion.tensor_files import read_tensors
from realtime.spaces import EmbeddingSpace

if TYPE_CHECKING:
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

DRAWN_MODEL = "perceptogram-drawn"
DRAWN_TAG = "builtin"
DRAWN_FOLDER = Path(__file__).resolve().parent / "encoder"
DRAWN_VOCABULARY = DRAWN_FOLDER / "vocabulary.txt.gz"
DRAWN_WEIGHTS = DRAWN_FOLDER / "weights.safetensors"
HUB_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")


class EncoderError(InputError):
    """An encoder that cannot be loaded as asked; the message is one line for people."""

    about = "embeddings"


@dataclass(frozen=True, eq=False)
class _Network:
    model: Any
    transform: Any
    tokenizer: Any
    device: str


@dataclass(frozen=True, eq=False)
class Encoder:
    """An open_clip model in evaluation mode.

    Attributes
    ----------
    space
        Name and size of the embedding.
    """

    space: EmbeddingSpace
    _load: Callable[[], _Network]

    @cached_property
    def _network(self) -> _Network:
        return self._load()

    @property
    def image_tower(self) -> Any:
        """The network that turns prepared pictures into embeddings."""
        return self._network.model.visual

    @property
    def prepare(self) -> Any:
        """What makes a picture of PIL's ready for the image tower."""
        return self._network.transform

    def embed_images(self, images: Sequence[NDArray[np.uint8]], batch: int = 64) -> NDArray[np.float32]:
        """Return the un-normalised embeddings ``[n, dims]`` of RGB pictures, each uint8 ``[height, width, 3]``.

        Raises
        ------
        ValueError
            If a picture is not uint8 or has another shape.
        """
        import torch
        from PIL import Image

        for i, image in enumerate(images):
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
                msg = f"picture {i} is {image.dtype} {list(image.shape)}: give RGB pictures as uint8 [height, width, 3]"
                raise ValueError(msg)
        rows, network = [np.zeros((0, self.space.dims), np.float32)], self._network
        with torch.inference_mode():
            for start in range(0, len(images), batch):
                prepared = [network.transform(Image.fromarray(image)) for image in images[start : start + batch]]
                embedded = network.model.encode_image(torch.stack(prepared).to(network.device), normalize=False)
                rows.append(embedded.float().cpu().numpy())
        return np.concatenate(rows)

    def embed_texts(self, texts: Sequence[str], batch: int = 256) -> NDArray[np.float32]:
        """Return the un-normalised embeddings ``[n, dims]`` of texts.

        Raises
        ------
        EncoderError
            If the weights are those of the image encoder alone.
        """
        import torch

        rows, network = [np.zeros((0, self.space.dims), np.float32)], self._network
        if network.tokenizer is None:
            msg = f"the weights of {self.space} are those of the image encoder alone: texts cannot be embedded with it"
            raise EncoderError(msg)
        with torch.inference_mode():
            for start in range(0, len(texts), batch):
                tokens = network.tokenizer(list(texts[start : start + batch])).to(network.device)
                rows.append(network.model.encode_text(tokens, normalize=False).float().cpu().numpy())
        return np.concatenate(rows)

    def embed_images_cached(self, images: Sequence[NDArray[np.uint8]], folder: Path) -> NDArray[np.float32]:
        """Return `embed_images` ``[images, dims]``, kept in `folder` by the pictures' content and the model's name.

        Raises
        ------
        EncoderError
            If what the folder keeps cannot be read.
        """
        keys = [
            hashlib.sha256(f"{i.dtype}{i.shape}".encode() + np.ascontiguousarray(i).tobytes()).hexdigest()
            for i in images
        ]
        return self.embed_cached(keys, images.__getitem__, folder)

    def embed_cached(
        self, keys: Sequence[str], image: Callable[[int], NDArray[np.uint8]], folder: Path
    ) -> NDArray[np.float32]:
        """Return the embeddings ``[keys, dims]`` of pictures, kept in `folder` by `keys` and the model's name.

        Parameters
        ----------
        keys
            What tells each picture from every other.
        image
            Gives the picture at a place in `keys`, as `embed_images` takes it, where its embedding is not kept.
        folder
            Where embeddings are kept.

        Raises
        ------
        EncoderError
            If what the folder keeps cannot be read.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file, save_file

        space_key = hashlib.sha256(repr(self.space).encode()).hexdigest()[:16]
        path = folder / f"embeddings-{space_key}.safetensors"
        known: dict[str, NDArray[np.float32]] = {}
        if path.exists():
            try:
                known = load_file(path)
            except SafetensorError as error:
                msg = f"{path} is not a readable embedding cache ({error}): delete it and run again"
                raise EncoderError(msg) from error
        missing = {key: place for place, key in enumerate(keys) if key not in known}
        if missing:
            made = self.embed_images([image(place) for place in missing.values()])
            known |= dict(zip(missing, made, strict=True))
            try:
                with whole_file(path) as part:
                    save_file(known, part)
            except (OSError, SafetensorError) as error:  # a full or shared disk costs time, never the embeddings
                logger.warning("cannot keep embeddings in %s (%s); they are made again next time", path, error)
        return np.stack([known[key] for key in keys]) if keys else np.zeros((0, self.space.dims), np.float32)


def load_encoder(
    model: str = DRAWN_MODEL,
    pretrained: str = DRAWN_TAG,
    file: Path | None = None,
    device: str = "cpu",
    *,
    download: bool = False,
) -> Encoder:
    """Load an open_clip model; the project's own is loaded when it first embeds, which takes seconds.

    Parameters
    ----------
    model
        An open_clip architecture such as ``ViT-H-14``, or ``perceptogram-drawn``, the project's own.
    pretrained
        A tag of that architecture, or the path of a local weight file, which is then a space of its own.
    file
        Local copy of the weights that the tag names: the same space, without the hub. By open_clip's names, or by
        transformers' (the ``image_encoder`` folder beside an IP-Adapter), which then embed pictures alone.
    device
        A torch device.
    download
        Whether weights that are not on this machine may be fetched.

    Raises
    ------
    EncoderError
        If there is no such model, tag or file, if it would have to be fetched, or the weights do not fit the model.
    """
    if (model, pretrained, file) == (DRAWN_MODEL, DRAWN_TAG, None):
        dims = json.loads((DRAWN_FOLDER / f"{DRAWN_MODEL}.json").read_text())["embed_dim"]
        return Encoder(
            EmbeddingSpace(model, pretrained, dims), partial(_open, model, pretrained, file, device, download=download)
        )
    network = _open(model, pretrained, file, device, download=download)
    import open_clip

    dims = int(open_clip.get_model_config(model)["embed_dim"])
    return Encoder(EmbeddingSpace(model, pretrained, dims), lambda: network)


def _open(model: str, pretrained: str, file: Path | None, device: str, *, download: bool) -> _Network:
    from configs.torchvision_shim import load_torchvision

    load_torchvision()
    import open_clip

    open_clip.add_model_config(DRAWN_FOLDER)
    if model not in open_clip.list_models():
        msg = f"unknown encoder model {model!r}: choose {DRAWN_MODEL!r} or one that open_clip lists, such as 'ViT-H-14'"
        raise EncoderError(msg)
    weights = str(DRAWN_WEIGHTS) if (model, pretrained) == (DRAWN_MODEL, DRAWN_TAG) else pretrained
    tags = open_clip.list_pretrained_tags_by_model(model)
    if file is not None:
        _check_copy(file, model, pretrained, tags)
    elif weights not in tags and not Path(weights).is_file():
        choices = ", ".join(map(repr, tags or [DRAWN_TAG]))
        msg = f"encoder {model!r} has no weights {pretrained!r}: choose one of {choices}, or an existing weight file"
        raise EncoderError(msg)
    if file is None and weights in tags and not download and not _is_here(model, weights):
        msg = (
            f"weights {pretrained!r} of encoder {model!r} are not on this machine: set fit.download: true to fetch "
            "them, or fit.encoder_weights to a file that holds them"
        )
        raise EncoderError(msg)
    try:
        # a file does not say how its pictures were prepared; the tag it stands for does
        how = {} if file is None else _preparation(open_clip.get_pretrained_cfg(model, pretrained))
        tower = None if file is None else tower_file(file)
        source = weights if file is None else str(file)
        net, _, transform = open_clip.create_model_and_transforms(
            model, pretrained=source if tower is None else None, device=device, **how
        )
        if tower is not None:
            net.visual.load_state_dict(as_open_clip(read_tensors(tower)))
            return _Network(net.eval(), transform, None, device)
    except Exception as error:
        # Hub, file and shape errors come in many types; people need one line that names the weights.
        reason = " ".join(str(error).split())[:200]
        msg = f"weights {str(file or pretrained)!r} could not be loaded into encoder {model!r}: {reason}"
        raise EncoderError(msg) from error
    extra = {"bpe_path": str(DRAWN_VOCABULARY)} if model == DRAWN_MODEL else {}
    return _Network(net.eval(), transform, open_clip.get_tokenizer(model, **extra), device)


def _check_copy(file: Path, model: str, pretrained: str, tags: Sequence[str]) -> None:
    if pretrained not in tags:
        choices = ", ".join(map(repr, tags))
        msg = (
            f"fit.encoder_weights: {file} must stand for weights that are published: set fit.pretrained to one of "
            f"{choices or 'none, because ' + repr(model) + ' has no published ones'} (given: {pretrained!r})"
        )
        raise EncoderError(msg)
    if not file.is_file() and not (file.is_dir() and any((file / name).is_file() for name in FILES)):
        msg = f"fit.encoder_weights: there is no file {file}, or folder that holds {' or '.join(FILES)}"
        raise EncoderError(msg)


def _preparation(published: Mapping[str, Any]) -> dict[str, Any]:
    """Return how pictures are prepared for published weights, as arguments of open_clip's loader."""
    names = {
        "image_mean": "mean",
        "image_std": "std",
        "image_interpolation": "interpolation",
        "image_resize_mode": "resize_mode",
    }
    return {argument: published[name] for argument, name in names.items() if published.get(name) is not None}


def _is_here(model: str, tag: str) -> bool:
    """Return whether open_clip's weights have been fetched before."""
    import open_clip
    from huggingface_hub import try_to_load_from_cache

    known = open_clip.get_pretrained_cfg(model, tag)
    repository, name = os.path.split(known.get("hf_hub", ""))
    if repository:
        names = [name, str(Path(name).with_suffix(".safetensors"))] if name else HUB_FILES
        return any(isinstance(try_to_load_from_cache(repository, each), str) for each in names)
    return "file" in known or (Path.home() / ".cache" / "clip" / Path(known["url"]).name).is_file()
