"""The command as a person types it, called within the test: Python and its libraries take seconds to start anew."""

import contextlib
import io
import signal
import sys
from dataclasses import dataclass
from unittest import mock

from perceptogram.__main__ import main

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Done:
    """What a command left behind, named as in `subprocess`."""

    returncode: int
    stdout: str
    stderr: str


def perceptogram(*arguments, cwd="."):
    """Run ``perceptogram`` with `arguments` in the folder `cwd` to its end."""
    out, err = io.StringIO(), io.StringIO()
    typed = mock.patch.object(sys, "argv", ["perceptogram", *map(str, arguments)])
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    code = 0
    try:
        with typed, contextlib.chdir(cwd), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as ended:
        code = ended.code or 0
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return Done(code, out.getvalue(), err.getvalue())
