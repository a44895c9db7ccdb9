import subprocess

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from perceptogram.live.film import HEIGHT, LAST_S, RATES_HZ, WIDTH, FilmError, make_film
from perceptogram.live.recorded import read_session
from tests.support.command import perceptogram

RED = (0, 60, 120)
"""How red the pictures of the made-up session are, by trial."""


def middle(image):
    """The colour of the pictures, which lie above the middle."""
    pixels = np.asarray(image.convert("RGB"))
    return pixels[pixels.shape[0] * 2 // 5, pixels.shape[1] // 2]


def test_a_gif_shows_each_picture_for_as_long_as_it_stood(session_folder, tmp_path):
    out = tmp_path / "film.gif"
    length_s = make_film(read_session(session_folder), out)
    assert length_s == pytest.approx(2.0 + LAST_S)
    with Image.open(out) as film:
        assert film.size == (WIDTH * 3 // 4, HEIGHT * 3 // 4)
        durations, reds = [], []
        for number in range(film.n_frames):
            film.seek(number)
            durations.append(film.info["duration"])
            reds.append(int(middle(film)[0]))
    np.testing.assert_allclose(durations, [1000, 1000, 1000 * LAST_S], atol=10)
    np.testing.assert_allclose(reds, RED, atol=6)


@pytest.mark.processes
def test_an_mp4_is_as_long_and_shows_the_same(session_folder, tmp_path):
    out = tmp_path / "film.mp4"
    length_s = make_film(read_session(session_folder), out, speed=2.0)
    assert length_s == pytest.approx(1.0 + LAST_S)
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", out, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    content = subprocess.run(command, capture_output=True, check=True).stdout
    frames = np.frombuffer(content, np.uint8).reshape(-1, 2 * HEIGHT, 2 * WIDTH, 3)
    reds = [int(middle(Image.fromarray(pixels))[0]) for pixels in frames]
    assert len(reds) == round(length_s * RATES_HZ[".mp4"])
    np.testing.assert_allclose(reds, [RED[0]] * 5 + [RED[1]] * 5 + [RED[2]] * 15, atol=12)


def test_a_film_is_no_longer_than_asked(session_folder, tmp_path):
    assert make_film(read_session(session_folder), tmp_path / "film.gif", most_s=2.0) <= 2.0
    with Image.open(tmp_path / "film.gif") as film:
        assert film.n_frames == 3


@pytest.mark.parametrize(("name", "fault"), [("film.avi", r"\.mp4 or \.gif"), ("film", r"\.mp4 or \.gif")])
def test_another_kind_of_film_is_refused(session_folder, tmp_path, name, fault):
    with pytest.raises(FilmError, match=fault):
        make_film(read_session(session_folder), tmp_path / name)
    assert not (tmp_path / name).exists()


def test_a_session_without_pictures_has_no_film(session_folder, tmp_path):
    for file in (session_folder / "pictures").iterdir():
        file.unlink()
    with pytest.raises(FilmError, match="no pictures"):
        make_film(read_session(session_folder), tmp_path / "film.gif")


def test_the_command_tells_what_it_made(session_folder):
    done = perceptogram("film", ".", "--out", "a.gif", "--speed", "4", cwd=session_folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("a.gif: 2.0 s, 0.0 MB")
