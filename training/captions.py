"""Captions for contrastive training, and the byte-pair vocabulary that open_clip's tokeniser reads them with."""

from __future__ import annotations

import gzip
import re
from collections import Counter
from pathlib import Path

import numpy as np

from stimuli.drawn import colour
from stimuli.drawn.concepts import CONCEPTS
from stimuli.drawn.picture import DrawnPicture
from stimuli.drawn.texture import TEXTURES

_COMMON = "a an and the of on in with drawing picture photo image small large dark bright pale plain ground background"
VOCABULARY_SIZE = 1024
_BYTES_AND_SPECIALS = 2 * 256 + 2


def short_caption(picture: DrawnPicture, rng: np.random.Generator, keep: float) -> str:
    """Return the picture's caption with each attribute left out with probability ``1 - keep``.

    So the text tower also learns prompts as short as "a drawing of a cat".
    """
    said = [rng.uniform() < keep for _ in range(4)]
    words = [picture.hue_name] * said[1] + [picture.texture] * said[2] + [CONCEPTS[picture.concept].name]
    light = {"dark": "dark ", "bright": "bright ", "plain": ""}[picture.brightness_name] if said[0] else ""
    article = "an" if words[0][0] in "aeiou" else "a"
    ground = f" on a pale {colour.hue_name(picture.ground_hue_deg)} ground" if said[3] else ""
    return f"a {light}drawing of {article} {' '.join(words)}{ground}"


def write_vocabulary(path: Path) -> None:
    """Learn byte-pair merges (Sennrich et al., 2016) of the caption words and write them as open_clip's gzip file.

    Every word of the captions becomes one token; any other text falls back to smaller pieces, at worst bytes.
    """
    words = " ".join((_COMMON, *CONCEPTS, *colour.HUE_NAMES, *TEXTURES)).lower()
    pieces = {word: (*word[:-1], word[-1] + "</w>") for word in sorted(set(re.findall("[a-z]+", words)))}
    merges: list[tuple[str, str]] = []
    while len(merges) < VOCABULARY_SIZE - _BYTES_AND_SPECIALS:
        counts = Counter(pair for word in pieces.values() for pair in zip(word[:-1], word[1:], strict=True))
        if not counts:
            break
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges.append(best)
        pieces = {word: _merge(parts, best) for word, parts in pieces.items()}
    # mtime=0: the same words give the same bytes.
    lines = ["#version: 0.2", *(" ".join(merge) for merge in merges)]
    path.write_bytes(gzip.compress("\n".join(lines).encode(), mtime=0))


def _merge(parts: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    merged: list[str] = []
    for part in parts:
        if merged and (merged[-1], part) == pair:
            merged[-1] += part
        else:
            merged.append(part)
    return tuple(merged)
