"""CUDA graphs: the thousand or so kernel launches of a step, recorded once and replayed as one.

A step of these networks is limited by the processor that launches its kernels, not by the GPU that runs them. A
recorded function reads and writes tensors that stay where they are; record and replay on one thread.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

WARM_UPS = 3  # libraries choose kernels and allocate work space in their first runs, which cannot be recorded


class GraphCapture:
    """Records functions into graphs that share one pool of memory, because only one of them runs at a time.

    Parameters
    ----------
    device
        Where the functions run; only on a CUDA device there is something to record.
    enabled
        Whether to record at all.
    """

    def __init__(self, device: torch.device, enabled: bool = True) -> None:
        self._device = device
        self._enabled = enabled and device.type == "cuda"
        self._pool = torch.cuda.graph_pool_handle() if self._enabled else None

    def record(self, function: Callable[[], None]) -> Callable[[], None]:
        """Return what does the same as `function`, which takes and returns nothing, with one launch."""
        if not self._enabled:
            return function
        stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(stream):
            for _ in range(WARM_UPS):
                function()
        torch.cuda.current_stream(self._device).wait_stream(stream)
        torch.cuda.synchronize(self._device)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            function()
        replay: Callable[[], None] = graph.replay
        return replay
