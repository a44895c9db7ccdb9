"""The pictures of a BIDS data set, with and without the table that lists them."""

import numpy as np
import pytest
from PIL import Image

from configs.schema import PictureSettings
from stimuli.picture_set import PictureError
from stimuli.pictures import open_pictures


def write(root, *names):
    for name in names:
        path = root / "stimuli" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4, 3), len(name), np.uint8)).save(path)


def opened(root, split="all"):
    return open_pictures(PictureSettings(set="bids", folder=root), split)


def test_every_picture_is_named_by_its_path(tmp_path):
    write(tmp_path, "face-0001.png", "face-0002.png", "00001_cat/cat_01b.png", "dog/one.png")
    pictures = opened(tmp_path)
    labels = {"00001_cat/cat_01b.png": "cat", "dog/one.png": "dog", "face-0001.png": "face", "face-0002.png": "face"}
    assert {name: pictures.label(name) for name in pictures.names} == labels
    assert pictures.image("dog/one.png").shape == (4, 4, 3)
    sides = [
        set(map(opened(tmp_path, split).label, opened(tmp_path, split).names)) for split in ("calibration", "test")
    ]
    assert not set.intersection(*sides)  # a concept is on one side


def test_folders_of_training_and_test_are_the_split_and_the_table_says_what_counts(tmp_path):
    own, copies = "training_images/00001_cat/cat_01b.png", "training_images/00001_cat/stim-train00001_image.png"
    write(tmp_path, own, copies, "test_images/00001_dog/stim-test001_image.png")
    rows = ["stimulus_id\tfilename\tpresent", f"stim-train00001\t{copies}\ttrue"]
    rows += ["stim-test001\ttest_images/00001_dog/stim-test001_image.png\ttrue", "stim-test002\tgone.png\tfalse"]
    (tmp_path / "stimuli" / "stimuli.tsv").write_text("\n".join(rows) + "\n")
    assert opened(tmp_path, "calibration").names == (copies,)
    assert opened(tmp_path, "test").names == ("test_images/00001_dog/stim-test001_image.png",)


def test_says_where_pictures_are_missing(tmp_path):
    with pytest.raises(PictureError, match="no pictures in"):
        opened(tmp_path)
