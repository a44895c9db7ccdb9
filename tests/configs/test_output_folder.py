"""A command writes only where nothing is, and takes away only what it wrote itself."""

import pytest

from configs.errors import InputError
from configs.output_folder import check, claim, made_by

WRITES = ("percepts.jsonl", "pictures", "recording*.xdf")


def fill(folder):
    (folder / "pictures").mkdir(parents=True)
    (folder / "pictures" / "0001.png").write_bytes(b"picture")
    (folder / "percepts.jsonl").write_text("{}\n")
    (folder / "recording_2.xdf").write_bytes(b"XDF:")


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_of_somebody_elses_is_refused_even_if_its_files_bear_the_same_names(tmp_path, overwrite):
    fill(tmp_path / "mine")
    with pytest.raises(InputError, match=r"holds percepts.jsonl, pictures, recording_2.xdf and was not made by"):
        claim(tmp_path / "mine", "run", WRITES, overwrite=overwrite)
    assert (tmp_path / "mine" / "pictures" / "0001.png").read_bytes() == b"picture"
    assert made_by(tmp_path / "mine") is None


def test_what_the_command_wrote_before_is_replaced_only_on_request_and_the_rest_stays(tmp_path):
    claim(tmp_path / "out", "run", WRITES)
    fill(tmp_path / "out")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="--overwrite"):
        claim(tmp_path / "out", "run", WRITES)
    assert (tmp_path / "out" / "percepts.jsonl").exists()
    claim(tmp_path / "out", "run", WRITES, overwrite=True)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".perceptogram", "notes.txt"]


def test_what_another_command_made_is_somebody_elses(tmp_path):
    claim(tmp_path / "out", "run", WRITES)
    fill(tmp_path / "out")
    with pytest.raises(InputError, match="not made by 'perceptogram replay'"):
        check(tmp_path / "out", "replay", overwrite=True)


def test_a_command_that_failed_before_it_wrote_anything_may_be_given_again(tmp_path):
    claim(tmp_path / "out", "run", WRITES)
    claim(tmp_path / "out", "run", WRITES)
    check(tmp_path / "out", "replay")


def test_a_link_is_taken_away_and_not_what_it_leads_to(tmp_path):
    fill(tmp_path / "elsewhere")
    claim(tmp_path / "out", "run", WRITES)
    (tmp_path / "out" / "pictures").symlink_to(tmp_path / "elsewhere" / "pictures")
    claim(tmp_path / "out", "run", WRITES, overwrite=True)
    assert (tmp_path / "elsewhere" / "pictures" / "0001.png").exists()


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(InputError, match="is a file"):
        claim(tmp_path / "out", "run", WRITES)
