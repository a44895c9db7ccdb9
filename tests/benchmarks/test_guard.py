import shutil
import subprocess

import pytest

from benchmarks import guard


def steady(seconds):
    return lambda name: {"s": seconds[name]}


def test_only_twice_as_slow_is_a_regression():
    old = steady({"decode": 1.0, "ridge": 1.0})
    found = guard.compare(steady({"decode": 1.9, "ridge": 2.1}), old, ("decode", "ridge"))
    assert guard.slower(found) == ["ridge"]


def test_a_slow_spell_of_the_machine_is_no_regression():
    calls = 0

    def slow_in_the_middle(_name):
        nonlocal calls
        calls += 1
        return {"s": 30.0 if 8 <= calls <= 17 else 1.0}

    found = guard.compare(slow_in_the_middle, slow_in_the_middle, ("decode",))
    assert guard.slower(found) == []


def test_what_the_commit_before_cannot_do_is_told_and_does_not_fail():
    found = guard.compare(steady({"decode": 1.0}), lambda _name: {"error": "ImportError: no"}, ("decode",))
    assert found == {"decode": "cannot be compared (before: ImportError: no)"}
    assert guard.slower(found) == []


def test_without_history_it_is_skipped(monkeypatch, tmp_path, capsys):
    look = guard.base_commit
    monkeypatch.setattr(guard, "base_commit", lambda given: look(given, tmp_path))
    assert guard.main([]) == 0
    assert "skipped" in capsys.readouterr().out


@pytest.fixture
def history(tmp_path):
    if shutil.which("git") is None:
        pytest.skip("git is not installed")

    def git(*arguments):
        identity = ("-c", "user.name=t", "-c", "user.email=t@localhost")
        return subprocess.run(
            ("git", *identity, *arguments), cwd=tmp_path, check=True, capture_output=True, text=True
        ).stdout.strip()

    git("init", "-q", "-b", "main")
    commits = []
    for text in ("one", "two"):
        (tmp_path / "file").write_text(text)
        git("add", "file")
        git("commit", "-q", "-m", text)
        commits.append(git("rev-parse", "HEAD"))
    return tmp_path, commits


def test_the_base_is_the_commit_before(history):
    folder, (first, second) = history
    assert guard.base_commit(None, folder) == first
    assert guard.base_commit(second, folder) == second
    assert guard.base_commit("no-such", folder) is None
    with guard.tree_of(first, folder) as tree:
        assert (tree / "file").read_text() == "one"


@pytest.mark.processes
def test_both_trees_run_their_own_code():
    """The tree beside itself: the work can be done, and the process runs the code that it was given."""
    with guard.turns_of(guard.HOUSE) as turn:
        assert turn("decode")["s"] > 0
        assert "KeyError" in turn("no such work")["error"]


@pytest.mark.processes
def test_a_tree_that_is_not_there_is_an_error_not_a_measurement(tmp_path):
    (tmp_path / "empty").mkdir()
    with guard.turns_of(tmp_path / "empty") as turn:
        assert turn("decode") == {"error": "the process ended"}


def test_a_module_that_moved_is_found_where_the_tree_has_it(tmp_path):
    ours = guard.HOUSE / "benchmarks" / "guard_work.py"
    theirs = tmp_path / "benchmarks" / "guard_work.py"
    assert guard.script_of(tmp_path) == ours
    theirs.parent.mkdir()
    theirs.write_text(ours.read_text().replace("from calibration.model.ridge import", "from calibration.ridge import"))
    assert guard.script_of(tmp_path) == theirs
    theirs.write_text(ours.read_text().replace("RATE_HZ = ", "RATE_HZ = 2 * "))
    assert guard.script_of(tmp_path) == ours, "other work is no measure"
