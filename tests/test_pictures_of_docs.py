"""Pictures of the documentation are noted with the code that draws them, so that old ones are found."""

import importlib.util
from pathlib import Path

import pytest

IMAGES = Path(__file__).parents[1] / "docs" / "images"


@pytest.fixture
def saving():
    spec = importlib.util.spec_from_file_location("saving", IMAGES / "saving.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_picture_is_noted_and_can_be_made_again(saving):
    pictures = {path.name for path in IMAGES.iterdir() if path.suffix in (".png", ".jpg")}
    assert set(saving.json.loads(saving.NOTES.read_text())) == pictures
    for name in pictures:
        files, command = saving._drawn(name)
        assert all((saving.HOUSE / file).exists() for file in files)
        assert command
        assert (IMAGES / name).stat().st_size < 1_200_000


def test_a_change_of_the_drawing_code_makes_a_picture_old_and_a_comment_does_not(saving, tmp_path, monkeypatch):
    monkeypatch.setattr(saving, "HOUSE", tmp_path)
    monkeypatch.setattr(saving, "DRAWN", {"a": (("draw.py",), "python draw.py")})
    (tmp_path / "draw.py").write_text('"""Draws."""\nSIZE = 3\n')
    before = saving.code_of("a.png")
    (tmp_path / "draw.py").write_text('"""Draws well."""\n# more\nSIZE = 3\n')
    assert saving.code_of("a.png") == before
    (tmp_path / "draw.py").write_text("SIZE = 4\n")
    assert saving.code_of("a.png") != before
