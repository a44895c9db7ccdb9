"""Import torchvision where its compiled half does not fit the installed torch.

A CPU-only torch beside a CUDA build of torchvision cannot register the operators, and then open_clip, diffusers
and transformers fail to import although none of them needs those operators. Declaring the two missing operator schemas
is enough to import; no kernel is provided, so calling one of them still raises.
"""

from __future__ import annotations

import sys

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_libraries: list[object] = []  # a torch Library unregisters its schemas when it is collected


def load_torchvision() -> None:
    """Import torchvision; on a missing-operator error, declare the schemas and import again.

    Call it before the first import of open_clip, diffusers pipelines, transformers or timm.

    Raises
    ------
    RuntimeError
        If torchvision fails to import for any other reason.
    """
    try:
        import torchvision
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            raise
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        import torch

        library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
        for schema in _SCHEMAS:
            library.define(schema)  # type: ignore[no-untyped-call]
        _libraries.append(library)
        import torchvision  # noqa: F401
