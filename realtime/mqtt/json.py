"""JSON as it is sent: no NaN, no infinity."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np


def finite(value: float | None) -> float | None:
    """Return `value`, or None where JSON has no number for it."""
    return float(value) if value is not None and np.isfinite(value) else None


def to_json(record: Mapping[str, Any]) -> bytes:
    """Return `record` as compact JSON.

    Raises
    ------
    ValueError, TypeError
        If it holds a NaN, an infinity or something that JSON has no form for.
    """
    return json.dumps(record, separators=(",", ":"), allow_nan=False).encode()
