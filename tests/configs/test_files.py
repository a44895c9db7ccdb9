import pytest

from configs.files import write_whole


def test_text_and_bytes_are_written_and_replaced(tmp_path):
    path = tmp_path / "new" / "file.txt"
    write_whole(path, "Übung")
    assert path.read_bytes() == "Übung".encode()
    write_whole(path, b"\x00\x01")
    assert path.read_bytes() == b"\x00\x01"
    assert [file.name for file in path.parent.iterdir()] == ["file.txt"]


def test_what_cannot_be_written_leaves_what_was_there(tmp_path):
    path = tmp_path / "file.txt"
    write_whole(path, "before")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "\ud800")
    (tmp_path / "file.txt.part").mkdir()
    with pytest.raises(IsADirectoryError):
        write_whole(path, "after")
    assert path.read_text() == "before"
