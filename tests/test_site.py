"""The documentation builds as a site, every link of it checked by the builder."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[1]
pytest.importorskip("mkdocs")
pytest.importorskip("mkdocstrings")


@pytest.mark.processes
@pytest.mark.slow
def test_the_site_builds_strictly(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", tmp_path / "site"],
        cwd=HOUSE,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    page = (tmp_path / "site" / "reference" / "index.html").read_text()
    assert "keep_epochs" in page
    assert (tmp_path / "site" / "notebooks" / "epochs_to_live.ipynb").is_file()


def test_links_out_of_the_site_become_text():
    spec = importlib.util.spec_from_file_location("site_hooks", HOUSE / "docs" / "site_hooks.py")
    hooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    text = "see [`configs/`](../configs/schema.py), [examples](examples) and [faults](faults.md#soak)"
    assert hooks.on_page_markdown(text) == "see `configs/`, examples and [faults](faults.md#soak)"
