"""Messages that are nearly right, from a seed."""

from __future__ import annotations

import json

import numpy as np

ODD = (
    None,
    True,
    -1,
    0,
    1 << 70,
    1e308,
    "",
    "\x00",
    "../../x",
    "x" * 5000,
    "\ud800",
    [],
    {},
    [[]],
    {"a": 1},
    "NaN",
    [1] * 99,
)


def mutated(rng: np.random.Generator, payload: bytes) -> bytes:
    """Return `payload` with a part changed, lost, doubled or replaced; never as it was."""
    changed = payload
    while changed == payload:
        changed = _CHANGES[rng.integers(len(_CHANGES))](rng, payload)
    return changed


def _flip(rng, payload):
    content = bytearray(payload)
    for place in rng.integers(len(content), size=rng.integers(1, 6)):
        content[place] = rng.integers(256)
    return bytes(content)


def _cut(rng, payload):
    return payload[: rng.integers(len(payload))]


def _repeat(rng, payload):
    first, last = sorted(rng.integers(len(payload), size=2))
    return payload[:last] + payload[first:]


def _noise(rng, _payload):
    return rng.bytes(rng.integers(1, 300))


def _nested(rng, _payload):
    return b"[{"[rng.integers(2) :] * rng.integers(1, 2000)


def _json(rng, payload):
    """Change a value, a key or both of a JSON object, at any depth."""
    try:
        record = json.loads(payload)
    except ValueError:
        return _flip(rng, payload)
    place = record
    while True:
        key = list(place)[rng.integers(len(place))]
        if isinstance(place[key], dict) and place[key] and rng.integers(2):
            place = place[key]
            continue
        break
    match rng.integers(4):
        case 0:
            del place[key]
        case 1:
            place["more"] = ODD[rng.integers(len(ODD))]
        case _:
            place[key] = ODD[rng.integers(len(ODD))]
    return json.dumps(record).encode()


_CHANGES = (_flip, _cut, _repeat, _noise, _nested, _json, _json, _json, _json)
