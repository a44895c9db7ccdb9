import numpy as np
import pytest
import torch

from configs.torchvision_shim import load_torchvision
from realtime.rendering.diffusion.schedules import (
    cosine_signal_fractions,
    distilled_timesteps,
    make_schedule,
    trailing_timesteps,
)

load_torchvision()
import diffusers  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # in diffusers

SHAPE = (1, 4, 8, 8)
DETERMINISTIC = ("euler", "dpm++", "unipc")
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
PREDICTIONS = {"epsilon": "epsilon", "v": "v_prediction"}


def network(latent, timestep):
    """Any function will do, as long as it is not linear in the latent and differs from time to time."""
    return torch.tanh(latent * 1.7 + timestep / 500) - 0.3 * latent


def published(sampler, steps, prediction, eta, timesteps=None):
    """Return every picture's latent and timesteps of diffusers' scheduler, the noise drawn from seed 3."""
    shared = BETAS | {"prediction_type": PREDICTIONS[prediction]}
    scheduler = {
        "euler": lambda: diffusers.EulerDiscreteScheduler(timestep_spacing="trailing", **shared),
        "euler-ancestral": lambda: diffusers.EulerAncestralDiscreteScheduler(timestep_spacing="trailing", **shared),
        "lcm": lambda: diffusers.LCMScheduler(**shared),
        "tcd": lambda: diffusers.TCDScheduler(**shared),
        "dpm++": lambda: diffusers.DPMSolverMultistepScheduler(timestep_spacing="trailing", **shared),
        "unipc": lambda: diffusers.UniPCMultistepScheduler(timestep_spacing="trailing", **shared),
    }[sampler]()
    if timesteps is None:
        scheduler.set_timesteps(steps)
    else:
        scheduler.set_timesteps(timesteps=list(timesteps))
    generator = torch.Generator().manual_seed(3)
    latent = torch.randn(SHAPE, generator=generator) * scheduler.init_noise_sigma
    extra = {} if sampler in DETERMINISTIC else {"generator": generator}
    if sampler == "tcd":
        extra["eta"] = eta
    for time in scheduler.timesteps:
        # DPM-Solver++, UniPC and the consistency samplers do not scale their input, Euler does
        output = network(scheduler.scale_model_input(latent, time), float(time))
        latent = scheduler.step(output, time, latent, **extra).prev_sample
    return latent, [int(time) for time in scheduler.timesteps]


def ours(schedule):
    generator = torch.Generator().manual_seed(3)
    latent = schedule.start * torch.randn(SHAPE, generator=generator)
    previous = picture = torch.zeros(SHAPE)
    for step in schedule.steps:
        output = network(latent, step.timestep)
        before, previous, picture = previous, picture, step.picture_latent * latent + step.picture_output * output
        noise = torch.randn(SHAPE, generator=generator)
        latent = (
            step.next_latent * latent
            + step.next_picture * picture
            + step.next_previous * previous
            + step.next_before * before
            + step.next_noise * noise
        )
    torch.testing.assert_close(latent, picture)  # the last picture is the result
    return picture


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
@pytest.mark.parametrize("steps", [1, 2, 3, 4, 7, 10, 20])
@pytest.mark.parametrize(
    ("sampler", "eta"),
    [
        ("euler", 1),
        ("euler-ancestral", 1),
        ("lcm", 1),
        ("tcd", 1),
        ("tcd", 0.3),
        ("tcd", 0),
        ("dpm++", 1),
        ("unipc", 1),
    ],
)
def test_same_as_the_published_sampler(sampler, eta, steps, prediction):
    schedule = make_schedule(sampler, steps, prediction, eta)
    expected, times = published(sampler, steps, prediction, eta)
    assert [step.timestep for step in schedule.steps] == times
    assert schedule.uses_noise == (sampler not in DETERMINISTIC and steps > 1 and eta > 0)
    torch.testing.assert_close(ours(schedule), expected, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize(
    "timesteps", [(999, 749, 499, 249), (399,), (800,), (979, 500, 3)], ids=["DMD2", "DMD2, one", "Hyper-SDXL", "any"]
)
@pytest.mark.parametrize(("sampler", "eta"), [("euler", 1), ("lcm", 1), ("tcd", 0.3), ("dpm++", 1)])
@pytest.mark.filterwarnings("ignore:.*timesteps.*:UserWarning")
def test_same_as_the_published_sampler_at_other_times(sampler, eta, timesteps):
    """Ancestral Euler and UniPC take no times in diffusers; their constants come from times in the same way."""
    schedule = make_schedule(sampler, len(timesteps), "epsilon", eta, timesteps)
    expected, times = published(sampler, len(timesteps), "epsilon", eta, timesteps)
    assert times == [step.timestep for step in schedule.steps] == list(timesteps)
    torch.testing.assert_close(ours(schedule), expected, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("sampler", ["euler", "euler-ancestral", "lcm", "tcd", "dpm++", "unipc"])
def test_the_samplers_own_times_may_be_named(sampler):
    plain = make_schedule(sampler, 4, "v")
    assert make_schedule(sampler, 4, "v", timesteps=[step.timestep for step in plain.steps]) == plain


def test_timesteps_start_at_pure_noise():
    np.testing.assert_array_equal(trailing_timesteps(4), [999, 749, 499, 249])
    np.testing.assert_array_equal(distilled_timesteps(4), [999, 759, 499, 259])
    for steps in range(1, 51):
        for times in (trailing_timesteps(steps), distilled_timesteps(steps)):
            assert len(times) == steps
            assert times[0] == 999
            assert (np.diff(times) < 0).all()


def test_embedding_noise_is_that_of_unclip():
    expected = diffusers.DDPMScheduler(beta_schedule="squaredcos_cap_v2").alphas_cumprod
    np.testing.assert_allclose(cosine_signal_fractions(), expected, rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("lcm", 51, "epsilon"), "51 steps asked of the lcm sampler: it takes 1 to 50"),
        (("dpm++", 0, "v"), "0 steps"),
        (("unipc", 10_000, "v"), "10000 steps asked of the unipc sampler: it takes 1 to 50"),
        (("lcm", 2, "epsilon", 1.0, (999,)), "those of 1 steps, and 2 are asked for"),
        (("lcm", 2, "epsilon", 1.0, (499, 999)), "must fall"),
        (("lcm", 2, "epsilon", 1.0, (499, 499)), "must fall"),
        (("euler", 1, "epsilon", 1.0, (1000,)), "within 999 and 0"),
        (("tcd", 1, "epsilon", 1.5), "eta is 1.5"),
    ],
)
def test_impossible_schedules_are_refused(arguments, complaint):
    with pytest.raises(ValueError, match=complaint):
        make_schedule(*arguments)
