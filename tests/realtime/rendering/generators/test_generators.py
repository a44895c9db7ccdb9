"""Diffusers' own pipelines are the oracle: same weights, same noise, same picture."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn.attention import SDPBackend
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from configs.schema import RenderSettings
from realtime.rendering.diffusion import attention_backend
from realtime.rendering.diffusion.model_loading import Parts
from realtime.rendering.errors import GeneratorError
from realtime.rendering.generators.make import make_generator
from realtime.rendering.glide import between
from realtime.rendering.messages import Origin, RenderRequest
from realtime.rendering.picture_reuse import Economy
from realtime.rendering.worker import RenderWorker
from tests.support import tiny_models
from tests.support.stock_pipelines import BETAS, SEED, stock_pipeline

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # in diffusers
    pytest.mark.filterwarnings("ignore:torch.jit:DeprecationWarning"),
]
import diffusers  # noqa: E402

FAMILY = {"sdxl-turbo": "sdxl", "sd15-few-step": "sd15", "unclip": "unclip", "kandinsky22": "kandinsky22"}
NAMES = tuple(FAMILY)
WITH_ADAPTER = ("sdxl", "sd15")
WITH_TEXT = NAMES[:3]
CHANNELS = ("encoder_block_out_channels", "decoder_block_out_channels")
ROUNDING = 0.5 / 255
ONE_LAYER = {"layers_per_block": 1, "transformer_layers_per_block": 1}
BY_BLOCK = ("block_out_channels", "attention_head_dim", "down_block_types", "up_block_types")
OTHER_BETAS = {"kandinsky22": {"beta_schedule": "linear"}}


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """Tiny weights of all families in the places where the settings of `at` look for them."""
    return furnished(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def shallow(tmp_path_factory):
    """The same with two blocks of each kind, of a layer each: following what another one does takes a second each."""
    with pytest.MonkeyPatch.context() as patch:
        for family, config in tiny_models.TINY.items():
            ends = {key: (config[key][0], config[key][-1]) for key in BY_BLOCK if isinstance(config[key], tuple)}
            patch.setitem(tiny_models.TINY, family, config | ONE_LAYER | ends)
        tiny_models.shared_unet.cache_clear()
        home = furnished(tmp_path_factory.mktemp("shallow"))
    tiny_models.shared_unet.cache_clear()
    return home


def furnished(home):
    """Fill a folder, and return it."""
    tiny_models.make_tiny_decoder(home / "taesd")
    for family in FAMILY.values():
        folder = tiny_models.make_model_folder(home / family, family)
        tiny_models.make_full_decoder(folder, family)
        if family in WITH_ADAPTER:
            tiny_models.make_adapter_file(home / f"{family}-adapter.safetensors", family)
            tiny_models.make_lora_file(home / f"{family}-lora.safetensors", family)
    return home


def at(home, name, **more):
    family = FAMILY[name]
    given = {"weights": str(home / family), "decoder_weights": str(home / "taesd"), "size": 64, "lora": "none"}
    given["device"] = "cpu"
    if family == "kandinsky22":
        given["decoder_weights"] = None
    if family in WITH_ADAPTER:
        given["adapter"] = str(home / f"{family}-adapter.safetensors")
    return RenderSettings(generator=name, **(given | more))


def prepared(settings):
    generator = make_generator(settings)
    generator.prepare()
    return generator


def embedding(seed=0, name=""):
    dims = tiny_models.SPACES.get(FAMILY.get(name), tiny_models.DIMS)
    return 1.5 * np.random.default_rng(seed).standard_normal(dims).astype(np.float32)


def oracle(home, settings):
    """Return the stock pipeline, which paints float ``[h, w, 3]`` in 0 … 1."""
    family = FAMILY[settings.generator]
    (prompt,) = (load_file(file) for file in (home / family).glob("empty_*.safetensors"))
    if family == "kandinsky22":
        vae = diffusers.VQModel.from_pretrained(home / family / "movq")
    elif settings.decoder == "tiny":
        vae = diffusers.AutoencoderTiny.from_pretrained(home / "taesd")
    else:
        vae = diffusers.AutoencoderKL.from_pretrained(home / family / "vae")
    unet = tiny_models.make_unet(family)
    return stock_pipeline(settings, family, unet, vae, prompt, settings.adapter)


def assert_same(ours, expected):
    assert ours.shape == expected.shape
    assert expected.std() > 0.02, "a blank picture shows nothing"
    np.testing.assert_allclose(ours / 255, expected, atol=1e-3 + ROUNDING)


@pytest.mark.parametrize("name", NAMES)
def test_same_picture_as_the_pipeline(house, name):
    settings = at(house, name)
    generator, painted = prepared(settings), oracle(house, settings)
    for steps in (1, 2, 4):
        pictures = list(generator.stream(embedding(0, name), SEED, steps))
        assert len(pictures) == steps
        assert_same(pictures[-1], painted(steps, embedding(0, name)))


@pytest.mark.parametrize(
    ("name", "more", "steps"),
    [
        ("sdxl-turbo", {"sampler": "tcd", "eta": 0.3}, 3),
        ("sdxl-turbo", {"adapter_scale": 0.4}, 2),
        ("sdxl-turbo", {"size": 128}, 1),
        ("sdxl-turbo", {"sampler": "euler"}, 4),  # SDXL-Lightning
        ("sdxl-turbo", {"sampler": "lcm", "timesteps": (999, 749, 499, 249), "steps": 4}, 4),  # DMD2
        ("sd15-few-step", {"sampler": "lcm"}, 4),
        ("sd15-few-step", {"adapter_scale": 0.0}, 1),
        ("sd15-few-step", {"decoder": "full", "decoder_weights": None}, 1),
        ("kandinsky22", {"guidance": 1.0, "prompt": "nowhere"}, 3),  # without guidance nothing leads away from anything
        ("unclip", {"guidance": 1.0}, 3),
        ("unclip", {"noise_level": 300}, 2),
        ("unclip", {"sampler": "unipc", "guidance": 3.0}, 6),
        # strong guidance over many steps of a random network makes rounding errors visible
        ("unclip", {"decoder": "full", "decoder_weights": None, "guidance": 3.0}, 8),
    ],
)
def test_same_picture_with_other_settings(house, name, more, steps):
    settings = at(house, name, **more)
    *_, last = prepared(settings).stream(embedding(0, name), SEED, steps)
    assert_same(last, oracle(house, settings)(steps, embedding(0, name)))


@pytest.fixture(scope="module", params=NAMES)
def generator(house, request):
    return prepared(at(house, request.param))


def last_of(generator, condition, seed=SEED, steps=2):
    *_, last = generator.stream(condition, seed, steps)
    return last


def test_pictures_depend_on_nothing_but_embedding_seed_and_steps(generator):
    name = generator._settings.generator
    asked = [(0, 3, 1), *((e, s, 2) for e in (0, 1) for s in (3, 4)), (0, 3, 3)]
    first = {(e, s, n): last_of(generator, embedding(e, name), s, n) for e, s, n in asked}
    assert len({picture.tobytes() for picture in first.values()}) == len(first)
    for (e, s, n), picture in reversed(first.items()):
        np.testing.assert_array_equal(last_of(generator, embedding(e, name), s, n), picture)


def test_abandoned_pictures_leave_no_trace(generator):
    one, other = (embedding(k, generator._settings.generator) for k in (0, 1))
    expected = list(generator.stream(one, SEED, 4))
    stale = generator.stream(other, SEED + 1, 4)
    kept = [next(stale), next(stale)]
    copies = [picture.copy() for picture in kept]
    stale.close()
    np.testing.assert_array_equal(list(generator.stream(one, SEED, 4)), expected)
    np.testing.assert_array_equal(kept, copies)  # pictures that are held are not painted over


def paint(economy, trial, condition, steps=4):
    frames = list(economy.paint(RenderRequest(trial, condition, SEED, steps)))
    return [step for step, *_ in frames], frames[-1][1], {origin for *_, origin in frames}


def signal_left(name):
    return diffusers.DDPMScheduler(**BETAS | OTHER_BETAS.get(name, {})).alphas_cumprod


@pytest.mark.parametrize("name", NAMES)
def test_warm_start_takes_the_second_half_of_the_steps_from_the_last_picture(house, name):
    generator = prepared(at(house, name))
    economy = Economy(RenderSettings(generator=name, steps=4, warm_above=0.9), generator)
    paint(economy, 1, embedding(0, name))
    last = generator._sampler._picture.clone()
    seen = []
    generator._sampler._network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs))
    steps, picture, origins = paint(economy, 2, embedding(0, name) + 0.3 * embedding(1, name))
    assert (steps, origins) == ([3, 4], {Origin("warm", 1)})
    latent, time = seen[0][:2]
    kept = signal_left(name)[int(time)]
    unit = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(SEED))
    expected = kept.sqrt() * last + (1 - kept).sqrt() * unit
    torch.testing.assert_close(latent[:1], expected, rtol=1e-4, atol=1e-4)
    assert picture.std() > 5


def layout(seed=5):
    return np.random.default_rng(seed).standard_normal((4, 8, 8)).astype(np.float16)


@pytest.mark.parametrize(
    ("name", "strength", "first"),
    [*((name, 1.0, 0) for name in NAMES), *((name, 0.5, 2) for name in NAMES), ("sdxl-turbo", 0.1, 3)],
)
def test_a_layout_stands_for_the_steps_that_are_left_out(house, name, strength, first):
    generator = prepared(at(house, name, low_level=True, low_level_strength=strength))
    economy = Economy(RenderSettings(generator=name, steps=4), generator)
    paint(economy, 1, embedding(1, name))
    seen = []
    generator._sampler._network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs))
    frames = list(economy.paint(RenderRequest(2, embedding(0, name), SEED, 4, start=layout())))
    assert [(step, origin) for step, _, origin in frames] == [(k + 1, Origin("layout")) for k in range(first, 4)]
    latent, time = seen[0][:2]
    kept = signal_left(name)[int(time)]
    unit = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(SEED))
    expected = kept.sqrt() * torch.from_numpy(layout()).float() + (1 - kept).sqrt() * unit
    torch.testing.assert_close(latent[:1], expected, rtol=1e-3, atol=1e-3)


def test_a_layout_gives_the_picture_of_the_pipeline_with_those_latents(house):
    """With guidance: what is known of the first unconditional step from noise does not hold for another latent."""
    settings = at(house, "unclip", low_level=True, guidance=3.0)
    generator = prepared(settings)
    plain = last_of(generator, embedding(), steps=6)
    *_, ours = generator.stream_from(layout(), embedding(), SEED, 6)
    kept = diffusers.DDPMScheduler(**BETAS).alphas_cumprod[999]
    unit = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(SEED))
    latents = kept.sqrt() * torch.from_numpy(layout()).float()[None] + (1 - kept).sqrt() * unit
    assert_same(ours, oracle(house, settings)(6, embedding(), latents=latents))
    assert np.abs(ours.astype(int) - plain).mean() > 0.5
    np.testing.assert_array_equal(last_of(generator, embedding(), steps=6), plain)


def test_the_network_is_called_no_more_often_than_there_is_something_new_to_predict(house):
    generator = prepared(at(house, "unclip", low_level=True))
    list(generator.stream(embedding(), SEED, 3))
    seen = []
    generator._sampler._network.register_forward_pre_hook(lambda _, inputs: seen.append(float(inputs[1])))

    def times(frames):
        seen.clear()
        assert len(list(frames)) == 3
        return list(seen)

    known = times(generator.stream(embedding(1), SEED, 3))
    assert len(known) == 3, "what the first step says without a condition is known of a seed"
    for frames in (
        generator.stream(embedding(1), SEED + 1, 3),
        generator.stream_from(layout(), embedding(1), SEED + 1, 3),
        generator.stream_from(layout(6), embedding(1), SEED + 1, 3),
    ):
        assert times(frames) == [known[0], *known]


def test_a_layout_of_another_size_is_refused(house):
    generator = prepared(at(house, "sdxl-turbo", low_level=True))
    with pytest.raises(GeneratorError, match=r"shape \[4, 16, 16\] cannot start a picture of 64 pixels"):
        list(generator.stream_from(np.zeros((4, 16, 16), np.float16), embedding(), SEED, 1))


@pytest.mark.parametrize("decoder", ["tiny", "full"])
def test_the_encoder_is_that_of_the_autoencoder(house, decoder):
    more = {"decoder": decoder} | ({"decoder_weights": None} if decoder == "full" else {})
    encode = make_generator(at(house, "sd15-few-step", **more)).load_encoder()
    pictures = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    pixels = torch.from_numpy(pictures).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.inference_mode():
        if decoder == "tiny":
            expected = diffusers.AutoencoderTiny.from_pretrained(house / "taesd").encode(pixels).latents
        else:
            vae = diffusers.AutoencoderKL.from_pretrained(house / "sd15" / "vae")
            expected = vae.encode(pixels).latent_dist.mean * 0.18215
    np.testing.assert_allclose(encode(pictures), expected, rtol=1e-4, atol=1e-5)


def test_warm_start_only_from_a_finished_picture_and_a_close_embedding(house):
    generator = prepared(at(house, "sdxl-turbo"))
    economy = Economy(RenderSettings(generator="sdxl-turbo", steps=4, warm_above=0.9), generator)
    paint(economy, 1, embedding(0))
    assert paint(economy, 2, embedding(1))[2] == {Origin()}, "far away"
    abandoned = economy.paint(RenderRequest(3, embedding(0), SEED, 4))
    next(abandoned)
    abandoned.close()
    steps, picture, origins = paint(economy, 4, embedding(1))
    assert (steps, origins) == ([1, 2, 3, 4], {Origin()}), "the last picture is no longer in the generator"
    np.testing.assert_array_equal(picture, last_of(generator, embedding(1), steps=4))


def test_a_picture_glides_from_the_one_before(house):
    generator = prepared(at(house, "sdxl-turbo"))
    economy = Economy(RenderSettings(generator="sdxl-turbo", flow=0.5), generator)
    list(economy.paint(RenderRequest(1, embedding(0), SEED, 4, flow=0.5)))
    glided = list(economy.paint(RenderRequest(2, embedding(1), SEED, 4, flow=0.5)))
    assert [(step, origin) for step, _, origin in glided] == [(step, Origin("glide", 1)) for step in (1, 2, 3, 4)]
    again = prepared(at(house, "sdxl-turbo"))
    list(again.stream(embedding(0), SEED, 4))
    goal = between(embedding(0), embedding(1), 0.5)
    for step, image, _ in glided:
        *_, wanted = again.stream_warm(between(embedding(0), goal, step / 4), SEED, 4)
        np.testing.assert_array_equal(image, wanted)


@pytest.mark.parametrize("name", NAMES)
def test_several_pictures_are_those_of_seeds_that_follow(house, name):
    strip = last_of(prepared(at(house, name, pictures=3)), embedding(0, name), seed=5, steps=2)
    single = prepared(at(house, name))
    for k in range(3):
        alone = last_of(single, embedding(0, name), seed=5 + k, steps=2)
        difference = strip[:, 64 * k : 64 * (k + 1)].astype(int) - alone
        assert abs(difference).max() <= 1


def test_first_unconditional_prediction_is_made_once_a_seed(house):
    generator = prepared(at(house, "unclip"))
    batches = []
    generator._sampler._network.register_forward_pre_hook(lambda _, inputs: batches.append(inputs[0].shape[0]))
    last_of(generator, embedding(0), seed=21, steps=3)
    last_of(generator, embedding(1), seed=21, steps=3)
    assert batches == [1, 1, 2, 2, 1, 2, 2]


@pytest.mark.parametrize("name", WITH_TEXT)
def test_text_keys_and_values_are_no_longer_in_memory(house, name):
    unet = prepared(at(house, name))._sampler._network
    before = sum(weight.numel() for weight in tiny_models.make_unet(FAMILY[name]).parameters())
    crosses = [layer for key, layer in unet.named_modules() if key.endswith("attn2")]
    dropped = sum(2 * layer.to_q.out_features * unet.config.cross_attention_dim for layer in crosses)
    after = sum(weight.numel() for weight in unet.parameters())
    fused = sum(layer.processor.weight.numel() for key, layer in unet.named_modules() if key.endswith("attn1"))
    assert dropped > 0
    assert after + fused == before - dropped


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sdxl-turbo", "unclip", "kandinsky22"])
def test_network_compiles_into_one_graph(shallow, name, monkeypatch):
    """What `render.compile` needs, without the minutes that its code generator takes."""
    torch._dynamo.reset()
    compiled = torch.compile

    def trace(network, *, fullgraph, dynamic, **_):
        assert fullgraph
        return compiled(network, backend="eager", fullgraph=True, dynamic=dynamic)

    monkeypatch.setattr(torch, "compile", trace)
    settings = at(shallow, name, steps=1, guidance=1.0)
    np.testing.assert_array_equal(
        last_of(prepared(settings.model_copy(update={"compile": True})), embedding(0, name), steps=1),
        last_of(prepared(settings), embedding(0, name), steps=1),
    )


def test_attention_is_by_the_kernels_that_were_fastest(house, monkeypatch):
    """Those that cannot run here are left out; which they are, the picture does not tell."""
    expected = last_of(prepared(at(house, "sdxl-turbo")), embedding())
    generator = make_generator(at(house, "sdxl-turbo", steps=1))
    parts = generator.load(torch.device("cpu"), torch.float32)
    with torch.no_grad():
        sampler = generator.loop(parts, generator.condition(parts), compiled=False)
    tried = []
    seconds = attention_backend._seconds

    def timed(function, device):
        tried.append(sampler._attention)
        return seconds(function, device) + (100 if sampler._attention is SDPBackend.FLASH_ATTENTION else 0)

    monkeypatch.setattr(attention_backend, "_seconds", timed)
    assert sampler.choose_attention() is SDPBackend.MATH
    assert {SDPBackend.FLASH_ATTENTION, SDPBackend.MATH} <= set(tried) <= set(attention_backend.BACKENDS)
    *_, picture = sampler.stream(embedding(), SEED, 2)
    assert np.abs(picture.astype(int) - expected).max() <= 1


def test_attention_is_left_to_torch_where_nothing_can_be_chosen():
    def cannot(backend):
        msg = f"no kernel for {backend}"
        raise RuntimeError(msg)

    assert attention_backend.fastest(cannot, torch.device("cpu")) is None
    with attention_backend.attention_by(None):
        pass


class OnDevice(TorchDispatchMode):
    """Refuses what a CUDA graph cannot record: tensors in host memory. Waiting for a value, meta tensors refuse."""

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        result = function(*arguments, **(keywords or {}))
        tensors = [leaf for leaf in tree_leaves((arguments, keywords, result)) if isinstance(leaf, torch.Tensor)]
        assert all(tensor.is_meta for tensor in tensors), f"{function} touches host memory"
        return result


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_recorded_functions_never_leave_the_gpu(house, name):
    """On a device without memory, so that it can be seen without a GPU."""
    family = FAMILY[name]
    generator = make_generator(at(house, name))
    adapter = house / f"{family}-adapter.safetensors"
    (prompt,) = (load_file(file) for file in (house / family).glob("empty_*.safetensors"))
    loaded = [prompt, load_file(adapter) if adapter.exists() else {}]
    with torch.device("meta"):
        prompt, extra = ({key: torch.empty(weight.shape) for key, weight in part.items()} for part in loaded)
        unet = diffusers.UNet2DConditionModel(**tiny_models.TINY[family])
        if name == "kandinsky22":
            decoder = diffusers.VQModel(**tiny_models.TINY_FULL[family])
        else:
            decoder = diffusers.AutoencoderTiny(**dict.fromkeys(CHANNELS, (8, 8, 8, 8)))
        parts = Parts(unet, decoder, prompt, extra)
        with torch.no_grad():
            sampler = generator.loop(parts, generator.condition(parts), compiled=False, graphs=False)
    program = sampler.program(3)
    sampler._first_time = program.times[:1]
    recorded = [sampler.write, *program.steps]
    if sampler._guidance is not None:
        recorded.append(sampler._predict_unconditional)
    with torch.inference_mode(), OnDevice():
        for function in recorded:
            function()
    with OnDevice(), pytest.raises(AssertionError, match="host memory"):
        sampler._latent + torch.zeros(1)


@pytest.mark.processes
def test_through_the_real_worker(house):
    """Of the others Stable unCLIP has a journey, and SD 1.5 a row of the GPU day."""
    settings = at(house, "sdxl-turbo", steps=2)
    expected = list(prepared(settings).stream(embedding(), SEED, 2))
    with RenderWorker(settings, threads=1) as worker:
        space = worker.wait_ready(120)
        assert (space.model, space.pretrained, space.dims) == ("ViT-H-14", "laion2b_s32b_b79k", 1024)
        worker.submit(RenderRequest(7, embedding(), SEED, 2))
        frames = []
        while not frames or not frames[-1].final:
            assert worker.wait(60)
            frames += worker.frames()
    assert {frame.trial for frame in frames} == {7}
    for frame, picture in zip(frames, expected, strict=True):
        assert abs(frame.image.astype(int) - picture).max() <= 1


def test_lora_is_what_the_network_learns_on_top(house):
    from realtime.rendering.diffusion.lora import fuse_lora

    for family in ("sdxl", "sd15"):
        file = house / f"{family}-lora.safetensors"
        plain, fused = tiny_models.make_unet(family), tiny_models.make_unet(family)
        matrices = load_file(file)
        assert fuse_lora(fused, file, scale=0.5) == len(matrices) // 3
        layers = dict(fused.named_modules())
        for name, layer in plain.named_modules():
            key = "lora_unet_" + name.replace(".", "_")
            if f"{key}.alpha" in matrices:
                down, up = matrices[f"{key}.lora_down.weight"], matrices[f"{key}.lora_up.weight"]
                delta = torch.einsum("or,r...->o...", up.flatten(1), down) * 0.5 * 1.0 / 2
                torch.testing.assert_close(layers[name].weight, layer.weight + delta)
    with pytest.raises(GeneratorError, match="made for another one"):
        fuse_lora(tiny_models.make_unet("sdxl"), house / "sd15-lora.safetensors")


def test_lora_of_the_settings_is_used(house):
    plain = at(house, "sd15-few-step")
    with_lora = plain.model_copy(update={"lora": str(house / "sd15-lora.safetensors")})
    assert not np.array_equal(last_of(prepared(plain), embedding()), last_of(prepared(with_lora), embedding()))


@pytest.mark.parametrize(
    ("name", "more", "complaint"),
    [
        ("sdxl-turbo", {"adapter": "sd15-adapter.safetensors"}, "does not fit the UNet"),
        ("sdxl-turbo", {"weights": "sd15"}, "no 'pooled' embedding"),
        ("sd15-few-step", {"adapter": "sd15-lora.safetensors"}, "is not an IP-Adapter"),
        ("sd15-few-step", {"prompt": "sdxl/empty_prompt.safetensors"}, "128 channels, the UNet wants 64"),
        ("sd15-few-step", {"prompt": "nowhere.safetensors"}, "render.prompt: there is no file"),
        ("sd15-few-step", {"adapter": "wide.safetensors"}, "embeddings of 1280 dims, not ViT-H-14"),
    ],
)
def test_parts_that_do_not_fit_are_refused(house, name, more, complaint):
    tiny_models.make_adapter_file(house / "wide.safetensors", "sd15", dims=1280)
    more = {key: str(house / value) for key, value in more.items()}
    with pytest.raises(GeneratorError, match=complaint):
        prepared(at(house, name, **more))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_absent_gpu_is_named(house):
    with pytest.raises(GeneratorError, match="no CUDA GPU"):
        prepared(at(house, "unclip", device="cuda"))


def test_too_little_memory_is_one_line_with_the_next_smaller_setting(house, monkeypatch):
    settings = at(house, "sdxl-turbo", pictures=4)
    generator = make_generator(settings)

    def burst(*_):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(generator, "load", burst)
    with pytest.raises(GeneratorError, match=r"^sdxl-turbo does not fit .* take render\.pictures 1, or .*$"):
        generator.prepare()
