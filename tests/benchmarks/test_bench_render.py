import copy
import json

import pytest
import torch

from benchmarks import render, render_day, render_floor, render_models, render_table
from benchmarks.render_narrow import NARROW, NARROW_FULL
from configs.errors import InputError
from configs.schema import RenderSettings
from realtime.rendering.diffusion import architectures, weight_files
from realtime.rendering.errors import GeneratorError
from realtime.rendering.generators.make import make_generator

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # in diffusers
    pytest.mark.processes,  # asks nvidia-smi for the driver
]
KEYS = (
    "device weights prepare_s p50_ms p95_ms p99_ms per_step_ms decode_ms copy_ms stock_pipeline_p50_ms floor_ms commit"
)

NOTHING = 9 + 8
"""Cells of the tables of the renderer's process and of the EEG beside it where neither was measured."""
MORE_STEPS = ("step 2", "step 3", "step 4")


@pytest.fixture
def tiny(monkeypatch):
    """Narrow networks, no weights on the disk, two pictures each."""
    for family in architectures.UNETS:
        monkeypatch.setitem(architectures.UNETS, family, NARROW[family])
        monkeypatch.setitem(architectures.FULL_DECODERS, family, NARROW_FULL[family])
    monkeypatch.setattr(weight_files, "_find", lambda _: None)
    monkeypatch.setitem(render.REPEATS, "cpu", (2, 2))
    monkeypatch.setattr(render_floor, "memory_bandwidth", lambda: 1e10)


@pytest.fixture
def counted(monkeypatch):
    """The operations of a picture are known, for what is not about them: they are counted one by one."""
    monkeypatch.setattr(render_floor, "work_of", lambda *_: render_floor.Work({"step 1": (1e9, 1e6)}))


@pytest.fixture
def shallow(tiny, monkeypatch):
    """A network with few parts that differ: the code generator takes seconds for each."""
    few = {
        "block_out_channels": (64, 64),
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "layers_per_block": 1,
    }
    monkeypatch.setitem(architectures.UNETS, "sd15", NARROW["sd15"] | few)


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
def test_every_generator_is_timed_without_weights(tiny, name):
    result = render.time_one(name, 2, 64, lambda _: 2, compiled_stock=False)
    assert set(KEYS.split()) <= result.keys()
    assert result["weights"] == "random"
    assert result["p50_ms"] > result["floor_ms"] > 0
    assert result["stock_pipeline_p50_ms"] == result["variants_ms"]["stock pipeline"]["p50"] > 0
    page = render_table.table([result])
    assert page.count("| n/a") == len(render_table.AIMS) * 11 + NOTHING + 1, "nothing was measured on a GPU"
    assert f"| {name} | 2 | 64 | {result['device']} | float32 | random | 2 | {result['p50_ms']} |" in page


def test_the_compiled_stock_pipeline_is_timed_beside_it(shallow, traced, counted):
    result = render.run("sd15-few-step", steps=1, size=64, quick=True)
    assert len(traced) == 2, "the stock pipeline's network and its decoder"
    compiled = result["variants_ms"]["stock pipeline, tiny decoder, compiled"]["p50"]
    assert result["stock_compiled_p50_ms"] == compiled > 0
    assert f"| {compiled} | {result['speedup']:.1f} ×, {compiled / result['p50_ms']:.1f} × |" in render_table.table(
        [result]
    )


@pytest.mark.filterwarnings("ignore")  # of torch's compiler about its own parts
def test_without_a_compiler_the_row_says_why(tiny, counted, monkeypatch):
    """One layer is as far as the compiler would come with a pipeline."""
    pipeline = render_models.stock_pipeline

    def one_layer(*given, compiled=False, **how):
        layer = torch.compile(torch.nn.Linear(4, 4))
        return (lambda *_: layer(torch.zeros(1, 4))) if compiled else pipeline(*given, **how)

    monkeypatch.setattr(render_models, "stock_pipeline", one_layer)
    torch._dynamo.reset()
    with torch._inductor.config.patch({"cpp.cxx": ("no-such-compiler",), "fx_graph_cache": False}):
        result = render.run("sd15-few-step", steps=1, size=64, quick=True)
    assert result["stock_compiled_p50_ms"] is None
    assert "no working C++ compiler" in result["stock_compiled_absent"].replace("No", "no")
    assert f"| n/a ({result['stock_compiled_absent']}) | {result['speedup']:.1f} ×, – |" in render_table.table([result])


def test_measured_gpu_takes_the_place_of_its_row(tiny, counted, monkeypatch):
    monkeypatch.setattr(render, "_compiled", lambda *_: (None, "left out"))  # the table is what is looked at
    result = copy.deepcopy(render.run("unclip", steps=1, size=64, quick=True))
    result |= {"kind": "cuda", "device": "NVIDIA H100", "size": 512, "steps": 8}
    page = render_table.table([result])
    assert f"| unclip | 8 | 512 | NVIDIA H100 | n/a | {result['p50_ms']} |" in page
    assert page.count("| n/a") == (len(render_table.AIMS) - 1) * 11 + NOTHING + 2, "memory and compiled: not here"
    assert "\nN/a." in page, "nothing was measured on a CPU"


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
        *_, _last = sampler.stream(torch.randn(generator.space.dims).numpy(), 0, 2)
        assert torch.isfinite(sampler._picture).all()
        assert sampler._picture.std() > 0.1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "steps"), [("sd15-few-step", 1), ("sdxl-turbo", 4), ("unclip", 8), ("kandinsky22", 10)]
)
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


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_gpu_day_runs_to_its_end_and_goes_on_where_it_was_cut_short(tmp_path, monkeypatch):
    monkeypatch.setattr(render_day, "gpu_name", lambda: None)
    monkeypatch.setattr(render_day, "QUICK_ROWS", render_day.QUICK_ROWS[1:2])
    first = render.run(gpu_day=True, quick=True, out=tmp_path, minutes=0)
    assert set(first["rows"].values()) == {"n/a: no time was left"}
    rows = render.run(gpu_day=True, quick=True, out=tmp_path)["rows"]
    assert rows == {"worker-sd15-few-step-1-64": "measured"}
    page = (tmp_path / "render.md").read_text(encoding="utf-8")
    worker = json.loads((tmp_path / "render-worker-sd15-few-step-1-64-cpu.json").read_text(encoding="utf-8"))
    assert f"| 1 | 3 | {worker['ms']['p50']} |" in page
    written = {file: file.stat().st_mtime_ns for file in tmp_path.glob("*.json")}
    assert set(render.run(gpu_day=True, quick=True, out=tmp_path)["rows"].values()) == {"measured before"}
    assert {file: file.stat().st_mtime_ns for file in written} == written


def test_rows_that_fail_or_take_too_long_say_so_and_the_page_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(render_day, "gpu_name", lambda: None)
    wrong = render_day.Row("pictures", "nothing", 1, 64)
    late = render_day.Row("pictures", "unclip", 1, 64, limit_s=0.05)
    monkeypatch.setattr(render_day, "QUICK_ROWS", (wrong, late))
    failed, slow = render.run(gpu_day=True, quick=True, out=tmp_path)["rows"].values()
    assert failed.startswith("n/a: configs.errors.InputError: bench render does not time generator 'nothing'")
    assert slow == "n/a: not done after 0 s"
    assert (tmp_path / "render.md").exists()


def test_without_a_gpu_a_gpu_day_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(render_day, "gpu_name", lambda: None)
    with pytest.raises(InputError, match="needs a GPU; with --quick"):
        render.run(gpu_day=True, out=tmp_path)


def test_every_row_of_a_gpu_day_has_a_file_of_its_own_but_for_the_compiled():
    names = [row.name for row in render_day.ROWS if row.kind != "compiled"]
    assert len(set(names)) == len(names)
    compiled = [row for row in render_day.ROWS if row.kind == "compiled"]
    assert {row.name for row in compiled} < set(names), "it takes the place of the row without"
    assert not compiled[0].measured({"stock_compiled_p50_ms": None})
