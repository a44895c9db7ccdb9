"""Targets from inside an image tower: what any of its blocks makes of a picture, the mean over positions.

Any tower of open_clip or timm (DINOv2 is one of timm's) will do, the small encoder that comes along as well. What was
computed is kept by the pictures' content, so that it is computed once.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.data.embeddings import EncoderError, load_encoder
from calibration.data.targets import cache_folder
from configs.files import whole_file
from configs.schema import Config
from realtime.rendering.diffusion.tensor_files import read_tensors

logger = logging.getLogger(__name__)

TIMM = "timm/"
BATCH = 64
_DIGEST = "sha256"

Pictures = Sequence[NDArray[np.uint8]]


@dataclass(frozen=True, eq=False)
class Tower:
    """An image tower.

    Attributes
    ----------
    name
        Model and weights, for people.
    identity
        What tells these weights from others: a tag, or a file's content.
    network
        Takes prepared pictures.
    prepare
        From a picture of PIL's to a tensor.
    """

    name: str
    identity: str
    network: Any
    prepare: Callable[[Any], Any]

    def outputs(self, images: Pictures, blocks: Sequence[int]) -> list[NDArray[np.float32]]:
        """Return for each block ``[pictures, its width]``; for none given the tower's own output alone.

        Raises
        ------
        EncoderError
            If the tower has no such block, or tells none.
        """
        import torch
        from PIL import Image

        device = next(self.network.parameters()).device
        with torch.inference_mode():
            batch = torch.stack([self.prepare(Image.fromarray(image)) for image in images]).to(device)
            if not blocks:
                return [self.network(batch).float().cpu().numpy()]
            try:
                found = self.network.forward_intermediates(
                    batch, indices=[block - 1 for block in blocks], intermediates_only=True
                )
            except (AssertionError, AttributeError) as error:
                reason = " ".join(str(error).split())[:120]
                msg = f"fit.identification_layers {list(blocks)}: {self.name} does not tell these blocks ({reason})"
                raise EncoderError(msg) from error
            # open_clip tells a dictionary, timm a list; both channels before height and width
            layers = found["image_intermediates"] if isinstance(found, dict) else found
            return [layer.float().mean(dim=(2, 3)).cpu().numpy() for layer in layers]


def picture_layers(config: Config, names: Sequence[str]) -> tuple[NDArray[np.float32], str]:
    """Return what the settings' blocks make of pictures, and what that is for people.

    Parameters
    ----------
    config
        The picture set, and `fit.identification_model` with what belongs to it.
    names
        Pictures of the set.

    Returns
    -------
    float32 ``[blocks, pictures, dims]``. Blocks of one width share their columns, as the residual stream of a
    transformer does; others have columns of their own, and zeros in those of the rest.

    Raises
    ------
    EncoderError
        If there is no such tower or block, or its weights are not on this machine.
    """
    from stimuli.pictures import open_pictures

    pictures = open_pictures(config.pictures, "all")
    tower = load_tower(config)
    blocks = config.fit.identification_layers
    rows = layers_cached(tower, blocks, names, pictures.image, cache_folder())
    said = f"{tower.name}, " + (f"blocks {', '.join(map(str, blocks))}" if blocks else "its output")
    return side_by_side(rows), said


def side_by_side(layers: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return layers ``[pictures, width]`` as one array: of one width on one another, of several side by side."""
    widths = [layer.shape[1] for layer in layers]
    if len(set(widths)) == 1:
        return np.stack(layers)
    found = np.zeros((len(layers), len(layers[0]), sum(widths)), dtype=np.float32)
    for place, layer in enumerate(layers):
        first = sum(widths[:place])
        found[place, :, first : first + layer.shape[1]] = layer
    return found


def load_tower(config: Config) -> Tower:
    """Return the image tower that the settings name, on this machine's card where there is one.

    Raises
    ------
    EncoderError
        If there is none, or its weights would have to be fetched and may not be.
    """
    import torch

    settings = config.fit
    device = "cuda" if torch.cuda.is_available() else "cpu"
    named, file = settings.identification_model, settings.identification_weights
    if named is not None and named.startswith(TIMM):
        return _timm_tower(named.removeprefix(TIMM), file, device, download=settings.download)
    model, tag, copy = settings.model, settings.pretrained, settings.encoder_weights
    if named is not None:
        (model, _, tag), copy = named.partition("/"), None
        if not tag and file is None:
            msg = f"fit.identification_model {named!r}: name its weights too, such as 'ViT-L-14/openai'"
            raise EncoderError(msg)
    if file is not None:
        tag, copy = str(file), None
    encoder = load_encoder(model, tag, copy, device, download=settings.download)
    identity = tag if not Path(tag).is_file() else _content(Path(tag))
    return Tower(f"{model}/{Path(tag).name}", f"{model}/{identity}", encoder.image_tower, encoder.prepare)


def _timm_tower(name: str, file: Path | None, device: str, *, download: bool) -> Tower:
    from configs.torchvision_shim import load_torchvision

    load_torchvision()
    import timm

    if not timm.is_model(name):
        msg = f"fit.identification_model: timm has no {name!r}; one of its own is vit_small_patch14_dinov2.lvd142m"
        raise EncoderError(msg)
    try:
        network = timm.create_model(name, pretrained=file is None and _may_load(name, download), num_classes=0)
        if file is not None:
            tensors = {key: value for key, value in read_tensors(file).items() if not key.startswith("head.")}
            network.load_state_dict(tensors)
    except EncoderError:
        raise
    except Exception as error:
        # Hub, file and shape errors come in many types; people need one line that names the weights.
        reason = " ".join(str(error).split())[:200]
        msg = f"weights {str(file or 'published')!r} could not be loaded into timm's {name!r}: {reason}"
        raise EncoderError(msg) from error
    how = timm.data.create_transform(**timm.data.resolve_model_data_config(network))
    identity = "published" if file is None else _content(file)
    return Tower(f"{TIMM}{name}", f"{name}/{identity}", network.eval().to(device), how)


def _may_load(name: str, download: bool) -> bool:
    """Return True where published weights are here or may be fetched.

    Raises
    ------
    EncoderError
        If they are not here and may not be fetched.
    """
    import timm
    from huggingface_hub import try_to_load_from_cache

    repository = timm.get_pretrained_cfg(name).hf_hub_id
    files = ("model.safetensors", "pytorch_model.bin")
    here = repository is not None and any(isinstance(try_to_load_from_cache(repository, one), str) for one in files)
    if not (here or download):
        msg = (
            f"weights of timm's {name!r} are not on this machine: set fit.download: true to fetch them, or "
            "fit.identification_weights to a file that holds them"
        )
        raise EncoderError(msg)
    return True


def _content(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, _DIGEST).hexdigest()


def layers_cached(
    tower: Tower,
    blocks: Sequence[int],
    names: Sequence[str],
    load: Callable[[str], NDArray[np.uint8]],
    folder: Path,
) -> list[NDArray[np.float32]]:
    """Return for each block ``[pictures, its width]``, of which what `folder` keeps is not computed again.

    Parameters
    ----------
    tower, blocks
        What is computed; blocks are counted from 1.
    names
        Pictures.
    load
        From a name to the picture; a few are in memory at a time.
    folder
        Where results are kept, by the tower, the blocks and each picture's content.
    """
    from safetensors.numpy import load_file, save_file

    key = hashlib.sha256(f"{tower.identity} {list(blocks)}".encode()).hexdigest()[:16]
    path = folder / f"layers-{key}.safetensors"
    known: dict[str, NDArray[np.float32]] = load_file(path) if path.exists() else {}
    before, keys = len(known), []
    try:
        for first in range(0, len(names), BATCH):
            images = [load(name) for name in names[first : first + BATCH]]
            contents = [
                hashlib.sha256(f"{image.shape}".encode() + np.ascontiguousarray(image).tobytes()).hexdigest()
                for image in images
            ]
            keys += contents
            missing = {one: image for one, image in zip(contents, images, strict=True) if one not in known}
            if missing:
                made = tower.outputs(list(missing.values()), blocks)
                known |= dict(zip(missing, np.concatenate(made, axis=1), strict=True))
                known["widths"] = np.array([part.shape[1] for part in made], dtype=np.float32)
    finally:
        if len(known) > before:
            try:
                with whole_file(path) as part:
                    save_file(known, part)
            except OSError as error:  # a full disk costs time, never the fit
                logger.warning("cannot keep layers in %s (%s); they are made again next time", path, error)
    rows = np.stack([known[one] for one in keys])
    ends = np.cumsum(known["widths"]).astype(int)
    return np.split(rows, ends[:-1], axis=1)
