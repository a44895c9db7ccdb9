import copy

import pytest
import torch

from benchmarks import render, render_floor, render_models, render_table
from configs.errors import InputError
from configs.schema import RenderSettings
from realtime.rendering.diffusion import weight_files
from realtime.rendering.errors import GeneratorError
from realtime.rendering.generators.make import make_generator
from tests.support import tiny_models

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # in diffusers
KEYS = (
    "device weights prepare_s p50_ms p95_ms p99_ms per_step_ms decode_ms copy_ms stock_pipeline_p50_ms floor_ms commit"
)

MORE_STEPS = ("step 2", "step 3", "step 4")


@pytest.fixture
def tiny(monkeypatch):
    """Tiny networks, no weights on the disk, two pictures each."""
    monkeypatch.setattr(render_models, "UNETS", tiny_models.TINY)
    monkeypatch.setattr(render_models, "FULL_DECODERS", tiny_models.TINY_FULL)
    monkeypatch.setattr(render_models, "POOLED_CHANNELS", tiny_models.POOLED)
    monkeypatch.setattr(weight_files, "_find", lambda _: None)
    monkeypatch.setitem(render.REPEATS, "cpu", (2, 2))
    monkeypatch.setattr(render_floor, "memory_bandwidth", lambda: 1e10)


@pytest.fixture
def traced(monkeypatch):
    """What compiling needs of a network, without the minutes that the code generator takes."""
    torch._dynamo.reset()
    compiled, asked = torch.compile, []

    def trace(network, *, fullgraph, dynamic, **_):
        assert fullgraph
        asked.append(network)
        return compiled(network, backend="eager", fullgraph=True, dynamic=dynamic)

    monkeypatch.setattr(torch, "compile", trace)
    return asked


@pytest.mark.parametrize("name", render.GENERATORS)
def test_every_generator_is_timed_without_weights(tiny, traced, name):
    result = render.run(name, steps=2, size=64, quick=True)
    assert set(KEYS.split()) <= result.keys()
    assert result["weights"] == "random"
    assert result["p50_ms"] > result["floor_ms"] > 0
    assert result["stock_pipeline_p50_ms"] == result["variants_ms"]["stock pipeline"]["p50"] > 0
    assert len(traced) == 2, "the stock pipeline's network and its decoder"
    compiled = result["variants_ms"]["stock pipeline, tiny decoder, compiled"]["p50"]
    assert result["stock_compiled_p50_ms"] == compiled > 0
    page = render_table.table([result])
    assert f"| {compiled} | {result['speedup']:.1f} ×, {compiled / result['p50_ms']:.1f} × |" in page
    assert page.count(render_table.ABSENT) == len(render_table.AIMS) * 10, "nothing was measured on a GPU"
    assert f"| {name} | 2 | 64 | {result['device']} | float32 | random | 2 | {result['p50_ms']} |" in page


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore")  # of torch's compiler about its own parts
def test_without_a_compiler_the_row_says_why(tiny):
    torch._dynamo.reset()
    with torch._inductor.config.patch({"cpp.cxx": ("no-such-compiler",), "fx_graph_cache": False}):
        result = render.run("sd15-few-step", steps=1, size=64, quick=True)
    assert result["stock_compiled_p50_ms"] is None
    assert "no working C++ compiler" in result["stock_compiled_absent"].replace("No", "no")
    assert f"| n/a ({result['stock_compiled_absent']}) | {result['speedup']:.1f} ×, – |" in render_table.table([result])


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore")  # of torch's compiler about its own parts
def test_the_stock_pipeline_is_compiled(tiny):
    torch._dynamo.reset()
    result = render.run("sd15-few-step", steps=1, size=64, quick=True)
    assert result["stock_compiled_absent"] is None
    assert result["stock_compiled_p50_ms"] > 0


def test_measured_gpu_takes_the_place_of_its_row(tiny, monkeypatch):
    monkeypatch.setattr(render, "_compiled", lambda *_: (None, "left out"))  # the table is what is looked at
    result = copy.deepcopy(render.run("unclip", steps=1, size=64, quick=True))
    result |= {"kind": "cuda", "device": "NVIDIA H100", "size": 512, "steps": 8}
    page = render_table.table([result])
    assert f"| unclip | 8 | 512 | NVIDIA H100 | {result['p50_ms']} |" in page
    assert page.count(render_table.ABSENT) == (len(render_table.AIMS) - 1) * 10
    assert render_table.ABSENT.capitalize() in page, "nothing was measured on a CPU"


@pytest.mark.parametrize(("name", "size"), [("embedded", 512), ("nothing", 512), ("unclip", 100)])
def test_what_cannot_be_timed_is_one_line(name, size):
    with pytest.raises(InputError, match=r"^bench render"):
        render.run(name, size=size)


def test_random_weights_paint_what_is_neither_blank_nor_infinite(tiny):
    for name in render.GENERATORS:
        generator = make_generator(RenderSettings(generator=name, size=64))
        with pytest.raises(GeneratorError):
            generator.prepare()
        parts = render_models.random_parts(generator.family, torch.device("cpu"), torch.float32)
        with torch.no_grad():
            sampler = generator.make_sampler(parts)
        *_, _last = sampler.stream(torch.randn(1024).numpy(), 0, 2)
        assert torch.isfinite(sampler._picture).all()
        assert sampler._picture.std() > 0.1


@pytest.mark.slow
@pytest.mark.parametrize(("name", "steps"), [("sd15-few-step", 1), ("sdxl-turbo", 4), ("unclip", 8)])
def test_floors_in_the_table_are_those_of_the_true_networks(name, steps):
    generator = make_generator(RenderSettings(generator=name, size=512))
    work = render_floor.work_of(generator, generator.family, steps, torch.float16)
    peak = render_floor.Peak(*render_floor.DATA_SHEETS["H100"], "H100")
    assert work.floor_ms(peak) == pytest.approx(render_table.FLOORS_MS[name, steps], abs=0.006)
    if name == "sdxl-turbo":
        once = render_floor.Work({part: cost for part, cost in work.parts.items() if part not in MORE_STEPS})
        assert once.floor_ms(peak) == pytest.approx(render_table.FLOORS_MS[name, 1], abs=0.006)
    if name == "sd15-few-step":
        operations, read = work.parts["step 1"]
        assert operations == pytest.approx(0.801e12, rel=1e-2)
        assert read == pytest.approx(2 * 859.5e6, rel=0.03)
