"""What others have published on THINGS-EEG2, each number with where it was read."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Published:
    """One method: shares of 200 test pictures, 80 repeats averaged, the mean of ten people.

    Attributes
    ----------
    name
        Of the method, and where it appeared.
    top1, top5
        Learned from the same person.
    across_top1, across_top5
        Learned from the nine other people.
    source
        Where the numbers were read.
    """

    name: str
    top1: float | None
    top5: float | None
    across_top1: float | None
    across_top5: float | None
    source: str


_TABLE = "arXiv 2604.17782, table I: 17 channels, across people 63"

PUBLISHED = (
    Published("NICE (ICLR 2024)", 0.161, 0.436, 0.062, 0.214, _TABLE),
    Published("NICE, by its authors", 0.156, 0.428, None, None, "arXiv 2308.13234, abstract"),
    Published("ATM (NeurIPS 2024)", 0.271, 0.581, 0.119, 0.338, _TABLE),
    Published("UBP (CVPR 2025)", 0.509, 0.797, 0.124, 0.334, _TABLE),
    Published("NeuroBridge (AAAI 2026)", 0.632, 0.899, 0.190, 0.459, _TABLE),
    Published("Shallow Alignment (2026)", 0.826, 0.977, 0.224, 0.508, _TABLE),
    Published("SAMGA (2026)", 0.913, 0.988, 0.344, 0.648, _TABLE),
    Published("NeuralBench EEG v1.0, image task", None, None, None, None, "no number found; its metric is top-5"),
)


def as_rows() -> list[dict[str, Any]]:
    """Return the table as a file of JSON has it."""
    return [asdict(one) for one in PUBLISHED]
