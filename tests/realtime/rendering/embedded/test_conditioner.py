"""What the conditioner reads from an embedding and where it lays it out."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from realtime.rendering.embedded.conditioner import MIDDLE_SIZE, PLACE_UNITS, EmbeddingConditioner, Reading
from realtime.rendering.embedded.generator import WEIGHTS
from stimuli.drawn.pen import Pen, Pose


@pytest.fixture(scope="module")
def conditioner() -> EmbeddingConditioner:
    return EmbeddingConditioner.from_pretrained(WEIGHTS / "conditioner").float()


@given(
    right=st.floats(-1, 1), down=st.floats(-1, 1), turn=st.floats(-1, 1), size=st.floats(-1, 1), mirrored=st.booleans()
)
def test_own_coordinates_are_those_that_the_pen_draws_in(conditioner, right, down, turn, size, mirrored):
    units = torch.tensor([right, down, turn, size]) * torch.tensor(PLACE_UNITS)
    pose = Pose((units[0].item(), units[1].item()), units[2].item(), MIDDLE_SIZE + units[3].item(), mirrored)
    pen = Pen(8, dict.fromkeys(_paints(), _blank()), pose, None)
    own = conditioner._own_coordinates(_reading(conditioner, [right, down, turn, size], mirrored))[0]
    drawn = own @ torch.tensor(pen._matrix.T, dtype=torch.float32) + torch.tensor(pen._shift, dtype=torch.float32)
    torch.testing.assert_close(drawn, conditioner.grid, atol=1e-5, rtol=0)


@given(seed=st.integers(0, 1000), scale=st.floats(0, 30))
def test_every_embedding_is_read_as_one_definite_picture(conditioner, seed, scale):
    standard = scale * torch.randn(3, conditioner.config.dims, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        said = conditioner.commit(conditioner.read(standard))
    for certain in (said.concept, said.texture):
        assert (certain.sum(1) == 1).all()
        assert ((certain == 0) | (certain == 1)).all()
    assert (said.flags.abs() == 1).all()
    torch.testing.assert_close(said.hues.unflatten(1, (2, 2)).norm(dim=2), torch.ones(3, 2))
    assert said.tone.abs().max() <= 1.1
    assert said.place.abs().max() <= 1.2


def test_what_lies_where_moves_with_the_object(conditioner):
    with torch.no_grad():
        _, middle = conditioner.lay_out(_reading(conditioner, [0.0, 0.0, 0.0, 0.0], mirrored=False))
        _, right = conditioner.lay_out(_reading(conditioner, [0.625, 0.0, 0.0, 0.0], mirrored=False))
    channels = conditioner.config.shape_channels
    # A shift of 0.0625 half widths is one cell of 32.
    torch.testing.assert_close(right[:, :channels, 2:-2, 3:-1], middle[:, :channels, 2:-2, 2:-2], atol=1e-4, rtol=1e-4)


def _reading(conditioner: EmbeddingConditioner, place: list[float], mirrored: bool) -> Reading:
    concepts, textures = len(conditioner.config.concepts), len(conditioner.config.textures)
    return Reading(
        torch.eye(concepts)[:1],
        torch.eye(textures)[:1],
        torch.tensor([[1.0, 1.0 if mirrored else -1.0]]),
        torch.tensor([[1.0, 0.0, 1.0, 0.0]]),
        torch.zeros(1, 2),
        torch.tensor([place]),
    )


def _paints():
    from stimuli.drawn.pen import Paint

    return list(Paint)


def _blank():
    from PIL import Image

    return Image.new("RGB", (32, 32))
