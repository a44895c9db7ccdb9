import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from benchmarks import harness, report
from configs.errors import InputError
from perceptogram.__main__ import app
from perceptogram.commands import bench


@pytest.fixture
def one(monkeypatch, tmp_path):
    """A benchmark that takes no time, in place of every other."""

    def run(quick=False, seed=0):
        harness.print_table("what", ("name", "ms"), [("x", 1)])
        return {"quick": quick, "seed": seed}

    def rewrite(_arguments):
        (tmp_path / "README.md").write_text("rewritten")

    modules = {"harness": harness, "report": report, "readme_table": SimpleNamespace(main=rewrite)}
    monkeypatch.setattr(bench, "_load", lambda name: modules.get(name, SimpleNamespace(run=run)))
    monkeypatch.setattr(report, "PRINTED", [])
    monkeypatch.setattr(harness, "PRINTED", report.PRINTED)
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    return tmp_path


def _bench(*arguments):
    return CliRunner().invoke(app, ["bench", *map(str, arguments)], catch_exceptions=False)


@pytest.mark.parametrize("size", [(), ("--quick",)])
def test_a_run_changes_no_file_that_it_was_not_told_to(one, size):
    assert _bench("decode", *size).exit_code == 0
    assert not list(one.iterdir())
    assert _bench("decode", *size, "--json", one / "numbers.json").exit_code == 0
    assert json.loads((one / "numbers.json").read_text()) == {"quick": bool(size), "seed": 0}
    assert [path.name for path in one.iterdir()] == ["numbers.json"]


def test_only_a_published_run_reaches_the_committed_results_and_the_pages(one):
    assert _bench("decode", "--publish").exit_code == 0
    assert list((one / "results").glob("*.md"))
    assert (one / "README.md").read_text() == "rewritten"
    with pytest.raises(InputError, match="leave out --quick and --results"):
        _bench("decode", "--publish", "--quick")


def test_a_run_is_filed_where_it_is_told(one):
    assert _bench("decode", "--seed", 3, "--results", one / "mine").exit_code == 0
    (page,) = (one / "mine").glob("*.md")
    assert "`perceptogram bench decode`" in page.read_text()
    (numbers,) = (one / "mine").glob("*.json")
    assert json.loads(numbers.read_text())["decode"]["result"] == {"quick": False, "seed": 3}


def test_a_benchmark_without_a_table_has_its_figures_printed(one, monkeypatch):
    modules = {"harness": harness, "report": report}
    told = SimpleNamespace(run=lambda: {"accuracy": 0.5, "curve": [1, 2]})
    monkeypatch.setattr(bench, "_load", lambda name: modules.get(name, told))
    done = _bench("embedded", "--quick")
    assert "accuracy" in done.output
    assert "curve" not in done.output


def test_several_run_apart_and_one_that_fails_is_named(one, monkeypatch):
    def run(command):
        name = command[4]
        assert "--quick" in command
        if name == "fit":
            file = next(Path(part.removeprefix("--json=")) for part in command if part.startswith("--json="))
            file.write_text('{"seconds": 1}')

    monkeypatch.setattr(bench, "run_program", run)
    done = _bench("fit", "decode", "--quick", "--json", one / "both.json")
    assert done.exit_code == 1
    assert "failed: decode" in done.output
    assert json.loads((one / "both.json").read_text()) == {"fit": {"seconds": 1}}


def test_every_name_has_a_script_and_stands_in_the_help():
    house = Path(bench.__file__).resolve().parents[2]
    absent = {name for name, module in bench.BENCHMARKS.items() if not (house / "benchmarks" / f"{module}.py").exists()}
    assert absent <= {"maps"}
    assert all(name in bench.WHICH for name in bench.BENCHMARKS)
