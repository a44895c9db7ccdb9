"""Captions for contrastive training, and the byte-pair vocabulary that open_clip's tokeniser reads them with."""

from __future__ import annotations

import gzip
import re
from collections import Counter
from collections.abc import Collection
from itertools import pairwise
from pathlib import Path

from stimuli.drawn import colour
from stimuli.drawn.concepts import CONCEPTS
from stimuli.drawn.picture import DrawnPicture
from stimuli.drawn.texture import TEXTURES

_COMMON = "a an and the of on in with drawing picture photo image small large dark bright pale plain ground background"
VOCABULARY_SIZE = 1024
_BYTES_AND_SPECIALS = 2 * 256 + 2


def partial_caption(picture: DrawnPicture, parts: Collection[str]) -> str:
    """Return a caption that says only `parts` of "brightness", "hue", "texture", "concept" and "ground".

    All five give the picture's own caption; one gives a prompt as short as "a drawing of a cat".
    """
    hue = [picture.hue_name] if "hue" in parts else []
    texture = [picture.texture] if "texture" in parts else []
    words = [*hue, *texture, CONCEPTS[picture.concept].name if "concept" in parts else "thing"]
    light = (
        {"dark": "dark ", "bright": "bright ", "plain": ""}[picture.brightness_name] if "brightness" in parts else ""
    )
    article = "an" if words[0][0] in "aeiou" else "a"
    ground = f" on a pale {colour.hue_name(picture.ground_hue_deg)} ground" if "ground" in parts else ""
    return f"a {light}drawing of {article} {' '.join(words)}{ground}"


def write_vocabulary(path: Path) -> None:
    """Learn byte-pair merges (Sennrich et al., 2016) of the caption words and write them as open_clip's gzip file.

    Every word of the captions becomes one token; any other text falls back to smaller pieces, at worst bytes.
    """
    words = " ".join((_COMMON, *CONCEPTS, *colour.HUE_NAMES, *TEXTURES)).lower()
    pieces = {word: (*word[:-1], word[-1] + "</w>") for word in sorted(set(re.findall("[a-z]+", words)))}
    merges: list[tuple[str, str]] = []
    while len(merges) < VOCABULARY_SIZE - _BYTES_AND_SPECIALS:
        counts = Counter(pair for word in pieces.values() for pair in pairwise(word))
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
