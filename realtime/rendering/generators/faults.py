"""Which faults of a generator cost a picture, which its process, and which only ask for smaller pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from configs.schema import RenderSettings

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


def _causes(error: BaseException) -> Iterator[BaseException]:
    one: BaseException | None = error
    while one is not None:
        yield one
        one = one.__cause__ or one.__context__
