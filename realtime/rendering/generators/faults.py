"""Which faults of a generator cost a picture, which its process, which only ask for less, and how they are told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from configs.schema import RenderSettings
    from realtime.rendering.diffusion.model_loading import Parts

SMALLEST = 256
"""Width and height below which pictures are not made smaller."""
CPU_MEMORY = "can't allocate memory"
DEVICE_WORDS = ("CUDA error", "CUBLAS_STATUS", "CUDNN_STATUS", "cuDNN error", "HIP error")


def spoils_the_process(error: BaseException) -> bool:
    """Return whether no later picture can succeed in this process.

    After a fault inside a kernel, CUDA answers every call with that same fault until the process ends.
    """
    import torch

    for one in _causes(error):
        if isinstance(one, torch.OutOfMemoryError):
            return False
        if isinstance(one, torch.AcceleratorError) or any(word in str(one) for word in DEVICE_WORDS):
            return True
    if torch.cuda.is_available():
        try:
            torch.cuda.synchronize()
        except RuntimeError:
            return True
    return False


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether the memory, the GPU's or the machine's, was too small."""
    import torch

    return any(
        isinstance(one, (torch.OutOfMemoryError, MemoryError)) or CPU_MEMORY in str(one) for one in _causes(error)
    )


def smaller(settings: RenderSettings) -> tuple[RenderSettings, str] | None:
    """Return settings that take less memory, and what they change; None where nothing is left to change.

    First one picture instead of several, then the tiny decoder, then half the size; a low-level map is of one size.
    """
    if settings.pictures > 1:
        return settings.model_copy(update={"pictures": 1}), "render.pictures 1"
    if settings.decoder == "full" and settings.generator != "kandinsky22":
        update = {"decoder": "tiny", "decoder_weights": None}
        return settings.model_copy(update=update), "render.decoder 'tiny'"
    half = settings.pixels // 128 * 64
    if settings.generator == "embedded" or settings.low_level or half < SMALLEST:
        return None
    return settings.model_copy(update={"size": half}), f"render.size {half}"


def out_of_memory(settings: RenderSettings) -> str:
    """Return one line that says what takes less memory."""
    less = smaller(settings)
    generator = "embedded" if settings.generator == "sd15-few-step" else "sd15-few-step"
    wanted = f"render.generator '{generator}'" if less is None else less[1]
    return f"{settings.generator} does not fit into the GPU's memory: take {wanted}, or close what else uses the GPU"


def not_finite(parts: Parts, embedding: NDArray[np.float32], settings: RenderSettings) -> str:
    """Return one line that says why a picture of `embedding` holds NaN or infinity, and what to do.

    Parameters
    ----------
    parts
        Where to look for weights that are not finite.
    embedding
        float32 ``[dims]`` that was painted.
    settings
        Name of the generator, for the line.
    """
    groups = {"network": parts.unet.state_dict(), "decoder": parts.autoencoder.state_dict()}
    groups |= {"adapter": dict(parts.extra), "empty prompt": dict(parts.prompt)}
    for what, tensors in groups.items():
        for name, tensor in tensors.items():
            if not tensor.isfinite().all():
                return (
                    f"{settings.generator} paints nothing finite: {name} of the {what} holds NaN or infinity, in its "
                    "file or since it was converted; download the weights again, or name others"
                )
    largest, dtype = float(np.abs(embedding).max()), str(parts.unet.dtype).removeprefix("torch.")
    wider = "render.dtype to 'bfloat16' or 'float32'" if dtype == "float16" else "fewer render.steps"
    return (
        f"the picture is not finite: in {dtype} the network left its range on an embedding with values up to "
        f"{largest:.3g}; set {wider}, or fit the map again if its embeddings are that large"
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    one: BaseException | None = error
    while one is not None:
        yield one
        one = one.__cause__ or one.__context__
