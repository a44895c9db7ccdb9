"""A check, and how it is made: whatever it raises, and however it ends, is what was found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from realtime.processes.apart import called_apart

APART_S = 60.0


@dataclass(frozen=True)
class Check:
    """One line of the report.

    Attributes
    ----------
    name
        What was looked at.
    status
        ``"ok"``, ``"warning"`` (a session runs, with less) or ``"broken"``.
    found
        What there is, with its numbers.
    advice
        What to do; empty where all is well.
    """

    name: str
    status: Literal["ok", "warning", "broken"]
    found: str
    advice: str = ""


def guarded(
    name: str, look: Callable[[], Check], advice: str, otherwise: Literal["warning", "broken"] = "broken"
) -> Check:
    """Return what a check finds; whatever it raises is what was found.

    Parameters
    ----------
    name
        What is checked.
    look
        The check.
    advice
        What to do where it raises.
    otherwise
        How bad it is where it raises.
    """
    try:
        return look()
    except Exception as error:  # a check reports every failure, of whatever kind, as its result
        return Check(name, otherwise, " ".join(f"{type(error).__name__}: {error}".split()), advice)


def isolated(look: Callable[[], Check]) -> Callable[[], Check]:
    """Return `look` made to run in a process of its own: liblsl may abort the one it runs in."""
    return partial(called_apart, look, APART_S)
