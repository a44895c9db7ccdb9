"""Picture sets: what each layout gives, and one clear line for what cannot be used."""

import re

import numpy as np
import pytest
from PIL import Image

from configs.schema import PictureSettings
from stimuli.picture_set import PictureError
from stimuli.pictures import choose_pictures, open_pictures


def save(path, colour, size=(40, 30)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


@pytest.fixture
def folder(tmp_path):
    for number, concept in enumerate(("cat", "dog", "key", "pan", "sun")):
        for k in range(3):
            save(tmp_path / concept / f"{concept}_{k}.png", (40 * number, 80 * k, 10))
    return tmp_path


def opened(path, split="all", kind="folder", seed=0):
    return open_pictures(PictureSettings(set=kind, folder=path, seed=seed), split)


def test_the_drawn_splits_share_no_picture_and_every_picture_is_known_by_its_pixels():
    calibration, test = (open_pictures(PictureSettings(), split) for split in ("calibration", "test"))
    assert (len(calibration.names), len(test.names)) == (1000, 200)
    assert not set(calibration.names) & set(test.names)
    name = calibration.names[0]
    assert calibration.image(name, 32).shape == (32, 32, 3)
    assert calibration.label(name) == calibration.attributes(name)["concept"]
    assert calibration.hash(name) != calibration.hash(calibration.names[1])
    with pytest.raises(PictureError, match="no picture 'nobody'"):
        calibration.image("nobody")


def test_a_chosen_part_has_every_concept_equally_often():
    pictures = open_pictures(PictureSettings(), "test")
    chosen = choose_pictures(pictures, 80, seed=3)
    counts = np.unique([pictures.label(name) for name in chosen], return_counts=True)[1]
    assert len(set(chosen)) == 80
    assert set(counts) == {2}
    assert chosen == choose_pictures(pictures, 80, seed=3) != choose_pictures(pictures, 80, seed=4)
    with pytest.raises(PictureError, match="cannot choose 201"):
        choose_pictures(pictures, 201, seed=0)


def test_a_folder_is_split_by_concept_and_by_seed(folder):
    calibration, test = opened(folder, "calibration"), opened(folder, "test")
    concepts = [{pictures.label(name) for name in pictures.names} for pictures in (calibration, test)]
    assert not concepts[0] & concepts[1]
    assert len(concepts[0]) == 4
    assert len(calibration.names) + len(test.names) == len(opened(folder).names) == 15
    assert len({opened(folder, "test", seed=seed).names for seed in range(12)}) > 1


@pytest.mark.parametrize("concepts", [("all",), ("face", "house"), ("cat", "dog", "key", "pan")])
def test_of_a_few_concepts_none_is_kept_from_the_calibration(concepts, tmp_path):
    for concept in concepts:
        save(tmp_path / concept / "one.png", (0, 0, 0))
    assert opened(tmp_path, "calibration").names == opened(tmp_path).names == tuple(f"{c}/one.png" for c in concepts)
    assert opened(tmp_path, "test").names == ()


def test_the_hash_follows_the_pixels_not_the_name(folder):
    (folder / "cat" / "copy.png").write_bytes((folder / "cat" / "cat_1.png").read_bytes())
    pictures = opened(folder)
    assert pictures.hash("cat/copy.png") == pictures.hash("cat/cat_1.png") != pictures.hash("cat/cat_2.png")


def test_a_picture_is_fitted_into_a_square_without_stretching(tmp_path):
    image = np.zeros((30, 90, 3), np.uint8)
    image[:, 30:60] = 255
    (tmp_path / "bar").mkdir()
    Image.fromarray(image).save(tmp_path / "bar" / "a.png")
    fitted = opened(tmp_path).image("bar/a.png", 30)
    assert fitted.shape == (30, 30, 3)
    assert fitted.mean() > 250


def test_a_manifest_gives_splits_and_the_users_own_columns(folder):
    (folder / "manifest.csv").write_text(
        "picture,concept,split,size\ncat/cat_0.png,tom,test,big\ndog/dog_1.png,rex,train,\n"
    )
    pictures = opened(folder)
    assert pictures.names == ("cat/cat_0.png", "dog/dog_1.png")
    assert (pictures.label("cat/cat_0.png"), dict(pictures.attributes("cat/cat_0.png"))) == ("tom", {"size": "big"})
    assert opened(folder, "test").names == ("cat/cat_0.png",)
    assert opened(folder / "manifest.csv", "calibration").names == ("dog/dog_1.png",)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("file,concept\na,b\n", "lacks column 'picture'; it has: file, concept"),
        ("picture,concept\na.png,\n", "line 2: picture and concept must both be given"),
        ("picture,concept\na.png,x\na.png,x\n", "line 3: picture 'a.png' is listed twice"),
        ("picture,concept,split\na.png,x,both\n", "line 2: split must be calibration or test, found 'both'"),
        ("picture,concept\n", "no pictures in"),
    ],
)
def test_a_wrong_manifest_is_one_line_that_says_where(tmp_path, text, line):
    (tmp_path / "manifest.csv").write_text(text)
    with pytest.raises(PictureError, match=re.escape(line)) as caught:
        opened(tmp_path)
    assert "\n" not in str(caught.value)


def test_the_things_eeg2_tree_keeps_its_own_split(tmp_path):
    save(tmp_path / "training_images" / "00001_aardvark" / "aardvark_01b.jpg", "red")
    save(tmp_path / "test_images" / "00001_aircraft_carrier" / "aircraft_carrier_06s.jpg", "blue")
    assert opened(tmp_path, "calibration", "things").names == ("training_images/00001_aardvark/aardvark_01b.jpg",)
    test = opened(tmp_path, "test", "things")
    assert [test.label(name) for name in test.names] == ["aircraft_carrier"]


def test_the_plain_things_tree_is_found_under_its_image_folder(tmp_path):
    for concept in ("acorn", "zebra"):
        save(tmp_path / "object_images" / concept / f"{concept}_01b.jpg", "red")
    assert opened(tmp_path, "all", "things").names == ("acorn/acorn_01b.jpg", "zebra/zebra_01b.jpg")


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n\x00\x00"])
def test_a_corrupt_or_missing_picture_is_one_line_that_names_the_file(folder, content):
    pictures = opened(folder)
    (folder / "key" / "key_0.png").write_bytes(content)
    (folder / "pan" / "pan_0.png").unlink()
    with pytest.raises(PictureError, match=r"key_0\.png cannot be read .*replace or remove it") as corrupt:
        pictures.image("key/key_0.png")
    with pytest.raises(PictureError, match=r"pan_0\.png is missing") as missing:
        pictures.hash("pan/pan_0.png")
    assert "\n" not in str(corrupt.value) + str(missing.value)


def test_a_truncated_picture_is_refused(folder):
    path = folder / "sun" / "sun_0.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(PictureError, match="cannot be read"):
        opened(folder).image("sun/sun_0.png")


def test_a_folder_that_is_not_there_or_empty_is_refused(tmp_path):
    with pytest.raises(PictureError, match="cannot open picture folder"):
        opened(tmp_path / "nowhere")
    with pytest.raises(PictureError, match="no pictures in"):
        opened(tmp_path)


@pytest.mark.parametrize("name", ["grey.png", "grey.tif", "big_endian.tif"])
def test_grey_of_16_bits_is_as_bright_as_grey_of_8(tmp_path, name):
    grey = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (64, 1))
    sixteen = grey.astype(np.uint16) * 257
    (tmp_path / "cat").mkdir()
    Image.fromarray(grey).save(tmp_path / "cat" / "eight.png")
    if name.startswith("big"):
        Image.frombytes("I;16B", (64, 64), sixteen.astype(">u2").tobytes()).save(tmp_path / "cat" / name)
    else:
        Image.fromarray(sixteen).save(tmp_path / "cat" / name)
    pictures = opened(tmp_path)
    assert np.array_equal(pictures.image(f"cat/{name}"), pictures.image("cat/eight.png"))
    assert pictures.image(f"cat/{name}").mean() == pytest.approx(127, abs=0.5)


def test_pixels_whose_white_nobody_knows_are_refused(tmp_path):
    (tmp_path / "cat").mkdir()
    Image.fromarray(np.linspace(0, 3, 64, dtype=np.float32).reshape(8, 8)).save(tmp_path / "cat" / "float.tif")
    with pytest.raises(PictureError, match=r"float\.tif cannot be read .*mode F, from 0 to 3; save it with 8 or 16"):
        opened(tmp_path).image("cat/float.tif")
