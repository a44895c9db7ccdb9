"""What only a card can show: recorded graphs paint what the same steps paint unrecorded, and as on the CPU."""

import numpy as np
import pytest
import torch

from configs.schema import RenderSettings
from realtime.rendering.errors import GeneratorError
from realtime.rendering.generators.make import make_generator
from tests.support import tiny_models

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU; where there is one: pytest -m gpu"),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # in diffusers
]
FAMILY = {"sdxl-turbo": "sdxl", "sd15-few-step": "sd15", "unclip": "unclip", "kandinsky22": "kandinsky22"}


@pytest.fixture(scope="module", params=FAMILY)
def settings(request, tmp_path_factory):
    home, family = tmp_path_factory.mktemp("gpu"), FAMILY[request.param]
    given = {"weights": str(tiny_models.make_model_folder(home / family, family)), "size": 64, "guidance": 3.0}
    if family == "kandinsky22":
        tiny_models.make_full_decoder(home / family, family)
    else:
        given["decoder_weights"] = str(tiny_models.make_tiny_decoder(home / "taesd"))
    if family in ("sdxl", "sd15"):
        given |= {"adapter": str(tiny_models.make_adapter_file(home / "adapter.safetensors", family)), "lora": "none"}
    return RenderSettings(generator=request.param, **given)


def prepared(settings, **more):
    generator = make_generator(settings.model_copy(update=more))
    generator.prepare()
    return generator


def embedding(generator, scale=1.5):
    return scale * np.random.default_rng(0).standard_normal(generator.space.dims).astype(np.float32)


def test_graphs_paint_what_the_steps_paint_and_what_the_cpu_paints(settings):
    generator = prepared(settings, dtype="float32")
    parts, condition = generator._parts, generator._sampler.condition
    with torch.no_grad():
        eager = generator.loop(parts, condition, compiled=False, graphs=False)
    on_cpu = prepared(settings, device="cpu")
    for steps in (1, 2, 4):
        recorded = list(generator.stream(embedding(generator), 1, steps))
        for other in (eager, on_cpu):
            for ours, theirs in zip(recorded, other.stream(embedding(generator), 1, steps), strict=True):
                assert np.abs(ours.astype(int) - theirs).max() <= 2


def test_a_picture_that_is_not_finite_is_told_by_its_last_byte(settings):
    generator = prepared(settings)
    *_, before = generator.stream(embedding(generator), 1, 2)
    with pytest.raises(GeneratorError, match="not finite: in float16"):
        list(generator.stream(embedding(generator, 1e5), 1, 2))
    *_, after = generator.stream(embedding(generator), 1, 2)
    np.testing.assert_array_equal(after, before)
