import os
import signal
import sys
from functools import partial

import pytest

from realtime.processes.apart import called_apart, output_of, run_program

pytestmark = pytest.mark.processes


def test_a_function_is_called_in_another_process_and_raises_here():
    assert called_apart(os.getppid, 30.0) == os.getpid()
    with pytest.raises(ValueError, match="invalid literal"):
        called_apart(partial(int, "x"), 30.0)


@pytest.mark.parametrize(
    ("function", "within_s", "what"),
    [
        (partial(signal.raise_signal, signal.SIGABRT), 30.0, r"tried it died \(exit code -6\)"),
        (signal.pause, 2.0, "took longer than 2 s"),
    ],
)
def test_one_that_takes_its_process_down_or_never_returns_costs_a_line_and_bounded_time(function, within_s, what):
    with pytest.raises(RuntimeError, match=what):
        called_apart(function, within_s)


def test_programs_are_run_and_heard(tmp_path):
    assert output_of((sys.executable, "-c", "import os; print(os.getcwd())"), tmp_path, 30.0) == str(tmp_path)
    assert output_of((sys.executable, "-c", "raise SystemExit(1)"), tmp_path, 30.0) is None
    assert output_of(("no-such-program",), tmp_path) is None
    assert output_of((sys.executable, "-c", "input()"), tmp_path, 0.1) is None
    run_program((sys.executable, "-c", f"open({str(tmp_path / 'there')!r}, 'w')"))
    assert (tmp_path / "there").exists()
