import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from benchmarks import harness, report
from perceptogram.__main__ import app
from perceptogram.commands import bench


@pytest.fixture
def one(monkeypatch, tmp_path):
    """A benchmark that takes no time, in place of every other."""

    def run(quick=False, seed=0):
        harness.print_table("what", ("name", "ms"), [("x", 1)])
        return {"quick": quick, "seed": seed}

    modules = {"harness": harness, "report": report}
    monkeypatch.setattr(bench, "_load", lambda name: modules.get(name, SimpleNamespace(run=run)))
    monkeypatch.setattr(report, "PRINTED", [])
    monkeypatch.setattr(harness, "PRINTED", report.PRINTED)
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    return tmp_path


def _bench(*arguments):
    return CliRunner().invoke(app, ["bench", *map(str, arguments)], catch_exceptions=False)


def test_a_full_run_is_filed_and_a_quick_one_is_not(one):
    assert _bench("decode", "--quick", "--json", one / "quick.json").exit_code == 0
    assert json.loads((one / "quick.json").read_text()) == {"quick": True, "seed": 0}
    assert not (one / "results").exists()
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
    def run(command, check):
        name = command[4]
        assert "--quick" in command
        if name == "fit":
            file = next(Path(part.removeprefix("--json=")) for part in command if part.startswith("--json="))
            file.write_text('{"seconds": 1}')

    monkeypatch.setattr(bench.subprocess, "run", run)
    done = _bench("fit", "decode", "--quick", "--json", one / "both.json")
    assert done.exit_code == 1
    assert "failed: decode" in done.output
    assert json.loads((one / "both.json").read_text()) == {"fit": {"seconds": 1}}


def test_every_name_has_a_script_and_stands_in_the_help():
    house = Path(bench.__file__).resolve().parents[2]
    absent = {name for name, module in bench.BENCHMARKS.items() if not (house / "benchmarks" / f"{module}.py").exists()}
    assert absent <= {"maps"}
    assert all(name in bench.WHICH for name in bench.BENCHMARKS)
