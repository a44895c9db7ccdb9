"""The published networks whose features tell how alike pictures are, and the files that hold their weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from configs.errors import InputError
from configs.torchvision_shim import load_torchvision

if TYPE_CHECKING:
    from torch import Tensor, nn

Array = NDArray[np.float64]

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
_BATCH = 16


class ScoreError(InputError):
    """Pictures or weights that cannot be used; the message is one line for people."""

    about = "scores"


@dataclass(frozen=True)
class Network:
    """A network whose features are compared.

    Attributes
    ----------
    file
        Name of the weight file in the folder of weights.
    source
        Where that file is published, or the tag of open_clip's model.
    side
        Side in pixels of what the network sees.
    statistics
        Mean and standard deviation of its training pictures.
    features
        Score by the node of the network whose output is compared.
    kind
        Two-way identification, or mean correlation distance.
    """

    name: str
    file: str
    source: str
    side: int
    statistics: tuple[tuple[float, ...], tuple[float, ...]]
    features: Mapping[str, str]
    kind: Literal["two-way", "distance"]


_TORCH = "https://download.pytorch.org/models/"
NETWORKS = (
    Network(
        "alexnet",
        "alexnet-owt-7be5be79.pth",
        _TORCH + "alexnet-owt-7be5be79.pth",
        256,
        IMAGENET,
        {"AlexNet(2)": "features.4", "AlexNet(5)": "features.11"},
        "two-way",
    ),
    Network(
        "inception_v3",
        "inception_v3_google-0cc3c7bd.pth",
        _TORCH + "inception_v3_google-0cc3c7bd.pth",
        342,
        IMAGENET,
        {"Inception": "avgpool"},
        "two-way",
    ),
    Network("ViT-L-14-quickgelu", "ViT-L-14.pt", "openai", 224, CLIP, {"CLIP": ""}, "two-way"),
    Network(
        "efficientnet_b1",
        "efficientnet_b1-c27df63c.pth",
        _TORCH + "efficientnet_b1-c27df63c.pth",
        255,
        IMAGENET,
        {"EffNet-B": "avgpool"},
        "distance",
    ),
    Network(
        "resnet50",
        "swav_800ep_pretrain.pth.tar",
        "https://dl.fbaipublicfiles.com/deepcluster/swav_800ep_pretrain.pth.tar",
        224,
        IMAGENET,
        {"SwAV": "avgpool"},
        "distance",
    ),
)


def load_network(network: Network, weights: Path | None, *, download: bool = False) -> Callable[[Tensor], Any]:
    """Return what maps prepared images to features by score.

    Parameters
    ----------
    network
        Which network, and which of its layers are read.
    weights
        Folder of weight files; torch hub's own where it is None.
    download
        Whether a file that is not there is downloaded.

    Raises
    ------
    FileNotFoundError
        If the weights are not there; the message says where they were looked for.
    ScoreError
        If they do not fit.
    """
    import torch

    load_torchvision()
    folder = Path(torch.hub.get_dir()) / "checkpoints" if weights is None else weights
    file = folder / network.file
    if not file.is_file() and download:
        _download(network, file)
    if not file.is_file():
        msg = f"{', '.join(network.features)}: no {network.file} in {folder}"
        raise FileNotFoundError(msg)
    try:
        return _clip(network, file) if network.source == "openai" else _torchvision(network, file)
    except ScoreError:
        raise
    except Exception as error:  # broken and foreign files lead to many types
        msg = f"{file} does not hold the weights of {network.name}: {' '.join(str(error).split())[:200]}"
        raise ScoreError(msg) from error


def make_network(name: str) -> nn.Module:
    """Return one of torchvision's networks without weights, built as its published weights want it."""
    from torchvision import models

    more = {"transform_input": True, "aux_logits": True, "init_weights": False} if name == "inception_v3" else {}
    network: nn.Module = models.get_model(name, weights=None, **more)
    return network.eval()


def _torchvision(network: Network, file: Path) -> Callable[[Tensor], Any]:
    import torch
    from torchvision.models.feature_extraction import create_feature_extractor

    model = make_network(network.name)
    content = torch.load(file, map_location="cpu", weights_only=True)
    state = {key.removeprefix("module."): value for key, value in content.items()}
    # SwAV's file has heads of its own in place of the classifier; every other tensor must be there
    headless = network.name == "resnet50"
    missing = model.load_state_dict(state, strict=not headless).missing_keys
    if any(not key.startswith("fc.") for key in missing):
        msg = f"{file} does not hold the weights of {network.name}: {missing[0]} is missing"
        raise ScoreError(msg)
    extract = create_feature_extractor(
        model, {node: score for score, node in network.features.items()}, suppress_diff_warning=True
    )
    return lambda images: extract(images)


def _clip(network: Network, file: Path) -> Callable[[Tensor], Any]:
    import open_clip

    model = open_clip.create_model(network.name, pretrained=str(file), precision="fp32").eval()
    (score,) = network.features
    return lambda images: {score: model.encode_image(images)}


def _download(network: Network, file: Path) -> None:
    """Fetch a weight file, whole or not at all."""
    import torch

    try:
        url = network.source
        if url == "openai":
            from open_clip.pretrained import get_pretrained_url

            url = get_pretrained_url(network.name, url)
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(file), progress=True)
    except (OSError, RuntimeError, ValueError) as error:
        msg = f"cannot download {network.file}: {' '.join(str(error).split())[:200]}"
        raise ScoreError(msg) from error


def features_of(extract: Callable[[Tensor], Any], images: Tensor, network: Network) -> dict[str, Array]:
    """Return features ``[n, values]`` by score of images ``[n, 3, size, size]`` in 0 … 1.

    Parameters
    ----------
    extract
        The network, from `load_network`.
    images
        ``[n, 3, size, size]``, 0 to 1; brought to the network's own size and scale here.
    network
        What `extract` was loaded from.
    """
    import torch
    from torch.nn.functional import interpolate

    mean, std = (torch.tensor(values)[None, :, None, None] for values in network.statistics)
    rows: dict[str, list[Array]] = {score: [] for score in network.features}
    for start in range(0, len(images), _BATCH):
        part = images[start : start + _BATCH]
        seen = interpolate(part, (network.side, network.side), mode="bilinear", antialias=True)
        for score, output in extract((seen - mean) / std).items():
            rows[score].append(output.flatten(1).float().numpy().astype(np.float64))
    return {score: np.concatenate(parts) for score, parts in rows.items()}
