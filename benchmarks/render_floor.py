"""The time that arithmetic and memory traffic alone would take: nothing can be faster, however it is written."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.harness import memory_bandwidth
from benchmarks.render_models import random_parts
from realtime.rendering.diffusion.attention import FusedSelfAttention, ImagePrompt, KnownCrossAttention
from realtime.rendering.diffusion.joint_attention import ImageTokens, JointAttention
from realtime.rendering.generators.latent import LatentGenerator

# Dense half-precision operations and bytes a second of the data sheets; the longest name that matches counts.
DATA_SHEETS = {
    "H100": (989e12, 3.35e12),
    "H100 PCIe": (756e12, 2.0e12),
    "H100 NVL": (835e12, 3.9e12),
    "H200": (989e12, 4.8e12),
    "A100": (312e12, 2.04e12),
    "A10G": (70e12, 0.6e12),
    "L4": (121e12, 0.3e12),
    "RTX 4090": (165e12, 1.01e12),
    "RTX 3090": (71e12, 0.94e12),
}


@dataclass(frozen=True)
class Peak:
    """What a device can do at most."""

    flops: float
    bytes_s: float
    source: str


@dataclass(frozen=True)
class Work:
    """Work of one picture: of each part, operations and bytes of weights read."""

    parts: dict[str, tuple[float, float]]

    def floor_ms(self, peak: Peak) -> float:
        """Return the sum over parts, each as long as the slower of its arithmetic and its reading."""
        return 1e3 * sum(max(flops / peak.flops, read / peak.bytes_s) for flops, read in self.parts.values())


def work_of(generator: LatentGenerator, family: Any, steps: int, dtype: torch.dtype) -> Work:
    """Count the work of the hot loop itself, run on tensors without memory."""
    with torch.device("meta"), torch.no_grad():
        parts = random_parts(family, torch.device("meta"), dtype)
        condition = generator.condition(parts)
        sampler = generator.loop(parts, condition, compiled=False, graphs=False)
    stages = sampler.stages(steps)
    network = _bytes(parts.unet.parameters()) + sum(
        _processor_bytes(processor) for processor in parts.unet.attn_processors.values()
    )
    adapter = 0.0
    if isinstance(condition, (ImagePrompt, ImageTokens)):
        adapter = _bytes([*condition.parameters(), condition.weight])
    counted = {"condition": (_flops(stages["condition"]), adapter)}
    for number in range(1, steps + 1):
        # with guidance the first step is another one; all that follow are alike
        alike = f"step {min(number, 2)}"
        counted[f"step {number}"] = counted.get(alike) or (_flops(stages[alike]), network)
    counted["decode"] = (_flops(stages["decode"]), _bytes(parts.autoencoder.parameters()))
    return Work(counted)


def peak_of(device: torch.device, dtype: torch.dtype) -> Peak:
    """Return the data sheet's figures of a known GPU; measure anything else, which then sets a softer floor."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        for known in sorted(DATA_SHEETS, key=len, reverse=True):
            if all(word in name for word in known.split()):
                return Peak(*DATA_SHEETS[known], f"data sheet of the {known}")
    size = 8192 if device.type == "cuda" else 1024
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    flops = 2 * size**3 / _fastest(lambda: a @ b, device)
    if device.type == "cpu":
        return Peak(flops, memory_bandwidth(), f"measured here, {torch.get_num_threads()} threads")
    source, target = (torch.empty(1 << 30, dtype=torch.uint8, device=device) for _ in range(2))
    return Peak(flops, 2 * source.numel() / _fastest(lambda: target.copy_(source), device), "measured here")


def _fastest(function: Callable[[], Any], device: torch.device, repeats: int = 5) -> float:
    """Return the seconds of the fastest run."""
    best = float("inf")
    for _ in range(repeats + 1):
        started = time.perf_counter()
        function()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - started)
    return best


def _flops(function: Callable[[], None]) -> float:
    with FlopCounterMode(display=False) as counter:
        function()
    return float(counter.get_total_flops())


def _processor_bytes(processor: Any) -> float:
    match processor:
        case FusedSelfAttention():
            return _bytes([processor.weight])
        case JointAttention():
            return _bytes([processor.weight, processor.bias])
        case KnownCrossAttention():
            return _bytes([*processor.text, *(processor.image or ())])
    return 0.0


def _bytes(tensors: Any) -> float:
    return float(sum(tensor.numel() * tensor.element_size() for tensor in tensors))
