"""What is better done by another process: a program, or a function that may take down the process it runs in."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypeVar

from realtime.processes.supervised import Supervised

T = TypeVar("T")


def run_program(command: Sequence[str]) -> None:
    """Run a program to its end, however it ends."""
    subprocess.run(command, check=False)


def output_of(command: Sequence[str], folder: Path, timeout_s: float = 5.0) -> str | None:
    """Return what a program prints when it is run in a folder; None where it is missing, fails or takes longer.

    Parameters
    ----------
    command
        The program and its arguments.
    folder
        Where it is run.
    timeout_s
        The longest that it may take, in seconds.
    """
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=timeout_s, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def called_apart(function: Callable[[], T], timeout_s: float) -> T:
    """Return what `function`, which is at module level, returns in a process of its own, or raise what it raises.

    Raises
    ------
    RuntimeError
        If the process died or took longer than `timeout_s`.
    """
    process = Supervised("apart", _call, (function,))
    try:
        answer: tuple[T | None, Exception | None] | None = next(process.hear(timeout_s), None)
        trouble = f"the process that tried it {process.trouble or f'took longer than {timeout_s:g} s'}"
    finally:
        process.close()
    if answer is None:
        raise RuntimeError(trouble)
    value, error = answer
    if error is not None:
        raise error
    return value  # type: ignore[return-value]


def _call(pipe: Connection, function: Callable[[], T]) -> None:
    try:
        answer: tuple[T | None, Exception | None] = function(), None
    except Exception as error:  # it is the caller's
        answer = None, error
    pipe.send(answer)
