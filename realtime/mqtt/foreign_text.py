"""Text of other programs, as a log or a terminal can show it."""

from __future__ import annotations


def one_line(text: str, most: int = 300) -> str:
    """Return `text` of another program as a log or a terminal can show it: a line, `most` letters, none that acts."""
    line = " ".join(text.split())[:most]
    return "".join(letter if letter.isprintable() else "?" for letter in line)
