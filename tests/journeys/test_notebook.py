"""The notebook runs from top to bottom, and what it asserts holds: its map is the command's, bit by bit."""

import os
import sys
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebooks" / "epochs_to_live.ipynb"
pytestmark = [pytest.mark.processes, pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.mark.filterwarnings("default")  # of the kernel's own machinery
def test_the_notebook_runs_and_its_map_is_the_commands(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", f"{NOTEBOOK.parents[2]}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    monkeypatch.setenv("MPLBACKEND", "agg")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    said = {
        number: "".join(part.get("text", "") for part in cell.outputs)
        for number, cell in enumerate(notebook.cells)
        if cell.cell_type == "code"
    }
    printed = "".join(said.values())
    assert float(printed.split("two-way identification ")[1].split()[0]) > 0.6
    assert printed.count("looks most like") == 3
