import pytest

from configs.errors import InputError
from configs.files import file_name, read_json, whole_file, whole_folder, write_whole


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("drawn-0001", "drawn-0001"),
        ("dog/01.jpg", "dog_01.jpg"),
        ("../../x", "_.._x"),
        ("a\x00b\\c:d*", "a_b_c_d_"),
        ("", "_"),
        ("Übung 1", "Übung_1"),
        ("lone \ud800", "lone__"),
        ("x" * 300, "x" * 100),
    ],
)
def test_names_of_others_become_names_of_files(tmp_path, name, wanted):
    assert file_name(name) == wanted
    (tmp_path / f"0001-{wanted}.png.01234567.part").touch()


def test_long_names_are_cut_between_letters(tmp_path):
    cut = file_name("a" + "Ω" * 300)
    assert cut == "a" + "Ω" * 49
    (tmp_path / f"0001-{cut}.png.01234567.part").touch()


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

    def cut_off():
        with whole_file(path) as part:
            part.write_text("aft")
            raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        cut_off()
    assert path.read_text() == "before"
    assert [file.name for file in tmp_path.iterdir()] == ["file.txt"]


def test_a_folder_takes_another_ones_place_and_leaves_what_is_not_its_own(tmp_path):
    folder = tmp_path / "out"
    (folder / "maps").mkdir(parents=True)
    for name in ("map.bin", "run1.csv", "maps/a.png"):
        (folder / name).write_text("old")
    with whole_folder(folder, ("map.bin", "report.html")) as part:
        (part / "map.bin").write_text("new")
        assert (folder / "map.bin").read_text() == "old"
    assert (folder / "map.bin").read_text() == "new"
    assert (folder / "run1.csv").read_text() == (folder / "maps" / "a.png").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_that_could_not_be_written_leaves_what_was_there(tmp_path):
    # Folders of these names were once cleared away as remains of an earlier run.
    for name in ("out", "out.part", "out.old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run1.csv").write_text("mine")
    with pytest.raises(FileNotFoundError), whole_folder(tmp_path / "out", ("run1.csv",)) as part:
        (part / "missing" / "run1.csv").write_text("half")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "out.old", "out.part"]
    assert {path.read_text() for path in tmp_path.glob("*/run1.csv")} == {"mine"}


def test_text_that_is_not_utf8_and_json_that_is_none_name_the_file(tmp_path):
    (tmp_path / "a.json").write_bytes("\u00e9".encode("cp1252"))
    with pytest.raises(InputError, match=r"summary .*a\.json is not UTF-8 \(byte 0 is 0xe9\)"):
        read_json(tmp_path / "a.json", "summary")
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(InputError, match=r"summary .*a\.json is not JSON"):
        read_json(tmp_path / "a.json", "summary")
