"""A picture that glides: small steps on the way from percept to percept, each told as one, and none of them kept."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.data.embeddings import load_encoder
from configs.schema import RenderSettings
from realtime.rendering.embedded.generator import EmbeddedGenerator
from realtime.rendering.glide import between
from realtime.rendering.messages import Origin, RenderRequest
from realtime.rendering.picture_reuse import Economy
from realtime.rendering.worker import RenderWorker
from stimuli.drawn.manifest import test_pictures as drawn_pictures

SEED, STEPS = 0, 4


@pytest.fixture(scope="module")
def generator():
    generator = EmbeddedGenerator()
    generator.prepare()
    return generator


@pytest.fixture(scope="module")
def embeddings():
    """Embeddings of two pictures of one concept, in other colours."""
    first, second = drawn_pictures()[:2]
    assert first.concept == second.concept
    return load_encoder().embed_images([picture.render(128) for picture in (first, second)])


def request(trial, embedding, flow):
    return RenderRequest(trial, embedding, SEED, STEPS, flow=flow)


def apart(first, second):
    return np.abs(first.astype(float) - second).mean()


@given(
    st.lists(st.floats(-10, 10, width=32), min_size=4, max_size=4),
    st.lists(st.floats(-10, 10, width=32), min_size=4, max_size=4),
    st.floats(0, 1),
)
def test_what_lies_between_two_embeddings_lies_on_their_arc(first, second, part):
    first, second = (np.array(values, np.float32) for values in (first, second))
    np.testing.assert_allclose(between(first, second, 0), first, atol=1e-4)
    np.testing.assert_allclose(between(first, second, 1), second, atol=1e-4)
    middle = between(first, second, part)
    lengths = np.linalg.norm(first), np.linalg.norm(second)
    unit = first / max(lengths[0], 1e-9), second / max(lengths[1], 1e-9)
    if min(lengths) > 0.1 and abs(unit[0] @ unit[1]) < 0.99:
        assert np.linalg.norm(middle) == pytest.approx((1 - part) * lengths[0] + part * lengths[1], rel=1e-3)
        angle = np.arccos(unit[0] @ unit[1])
        assert np.arccos(np.clip(middle @ unit[0] / np.linalg.norm(middle), -1, 1)) == pytest.approx(
            part * angle, abs=1e-2
        )


@pytest.mark.slow
def test_the_screen_glides_in_small_steps_and_every_picture_says_so(generator, embeddings):
    economy = Economy(RenderSettings(flow=0.5), generator)
    *_, (_, first, origin) = economy.paint(request(1, embeddings[0], 0.5))
    assert origin == Origin(), "there is nothing to glide from"
    *_, whole = generator.stream(embeddings[1], SEED, STEPS)
    jump = apart(first, whole)
    *_, (_, first, _) = economy.paint(request(2, embeddings[0], 0.0))  # the generator holds the first again
    glided = list(economy.paint(request(3, embeddings[1], 0.5)))
    assert [(step, told) for step, _, told in glided] == [(k + 1, Origin("glide", 2)) for k in range(4)]
    seen = [first, *(image for _, image, _ in glided)]
    moves = [apart(one, other) for one, other in pairwise(seen)]
    assert max(moves) < 0.6 * jump
    for trial in range(4, 12):
        *_, (_, image, _) = economy.paint(request(trial, embeddings[1], 0.5))
    assert apart(image, whole) < 0.35 * jump, "what is seen again and again is reached"


def test_a_glide_that_is_left_is_gone_on_from_where_it_was(generator, embeddings):
    economy = Economy(RenderSettings(flow=0.1), generator)
    list(economy.paint(request(1, embeddings[0], 0.1)))
    way = economy.paint(request(2, embeddings[1], 0.1))
    _, left, _ = next(way)
    way.close()
    _, next_one, origin = next(economy.paint(request(3, embeddings[1], 0.1)))
    assert origin == Origin("glide", 2)
    whole = economy.paint(request(4, embeddings[0], 0.0))
    *_, (_, again, told) = whole
    assert told == Origin(), "without flow a picture is painted from noise"
    np.testing.assert_array_equal(again, list(generator.stream(embeddings[0], SEED, STEPS))[-1])
    assert apart(next_one, left) < apart(next_one, again)


@pytest.mark.processes
def test_the_renderers_process_glides_and_says_so(embeddings):
    with RenderWorker(RenderSettings(flow=0.5)) as worker:
        worker.wait_ready(60)
        kinds = []
        for trial, embedding in enumerate(embeddings, start=1):
            number, frames = worker.submit(request(trial, embedding, 0.5)), []
            while not (frames and frames[-1].final):
                assert worker.wait(60)
                frames += [frame for frame in worker.frames() if frame.request == number]
            kinds.append({frame.origin.kind for frame in frames})
        assert kinds == [{"noise"}, {"glide"}]
        assert "gliding from the picture of trial 1" in worker.state.text
