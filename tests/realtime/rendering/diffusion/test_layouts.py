"""Every form in which weights are published, for every generator, against the stock pipeline with the same weights."""

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.support import layout_forms as forms

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # in diffusers
    pytest.mark.filterwarnings("ignore:torch.jit:DeprecationWarning"),
]


@pytest.fixture(autouse=True)
def narrow():
    with forms.narrowed():
        yield


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    home = tmp_path_factory.mktemp("published")
    home.chmod(0o755)
    return forms.Workshop(home)


@pytest.fixture
def place(workshop):
    """A folder beside what all forms share."""
    return Path(tempfile.mkdtemp(dir=workshop.home))


@pytest.mark.parametrize(("name", "form"), [(name, form) for name in forms.FAMILIES for form in forms.forms_of(name)])
def test_final_latent_of_every_form(workshop, place, name, form):
    written = forms.FORMS[form](place, forms.FAMILIES[name])
    assert workshop.difference(name, written) <= forms.AT_MOST


@pytest.mark.parametrize(
    ("name", "form"), [(name, form) for name in forms.FAMILIES for form in forms.decoders_of(name)]
)
def test_picture_of_every_form_of_decoder(workshop, place, name, form):
    family = forms.FAMILIES[name]
    kind, write = forms.DECODERS[form]
    model = forms.model_with_decoder(place, family)
    assert workshop.decoder_difference(name, kind, write(place, family), model) <= forms.AT_MOST


@contextmanager
def not_ours_to_write(folder):
    """Make a folder read-only, as a shared one is; root, who may write anywhere, becomes nobody meanwhile."""
    modes = {path: path.stat().st_mode for path in (folder, *folder.parents) if path.stat().st_uid == os.getuid()}
    modes.pop(Path(tempfile.gettempdir()), None)
    modes |= {path: path.stat().st_mode for path in folder.rglob("*")}
    for path, mode in modes.items():
        path.chmod((mode | 0o555) & (0o555 if folder in (path, *path.parents) else 0o777))
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        for path, mode in modes.items():
            path.chmod(mode)


@pytest.mark.parametrize(
    ("name", "form", "what"),
    [
        ("sdxl-turbo", "diffusers folder", "the empty prompt's embeddings"),
        ("sd15-few-step", "single file", "the empty prompt's embeddings"),
        ("kandinsky22", "diffusers folder", "the empty picture's embedding"),
    ],
)
def test_read_only_folder(workshop, tmp_path, name, form, what, caplog):
    shared = tmp_path / "shared"
    shared.mkdir()
    written = forms.FORMS[form](shared, forms.FAMILIES[name])
    for path in workshop.home.rglob("*"):
        path.chmod(0o755)
    with not_ours_to_write(shared):
        assert workshop.difference(name, written, steps=(1,)) <= forms.AT_MOST
    assert not list(shared.glob("*empty_*"))
    assert f"cannot keep {what} in" in caplog.text


def test_prompt_of_a_single_file_is_kept_beside_it_under_its_name(workshop, place, monkeypatch):
    written = forms.single_file(place, "sdxl")
    workshop.difference("sdxl-turbo", written, steps=(1,))
    (kept,) = place.glob("*.empty_prompt.safetensors")
    assert kept.name == "sd_xl_turbo_1.0.empty_prompt.safetensors"
    monkeypatch.setattr("realtime.rendering.diffusion.prompt.embed_with_file", lambda _: pytest.fail("embedded again"))
    written.prompt, written.same = load_file(kept), "kept"
    assert workshop.difference("sdxl-turbo", written, steps=(1,)) <= forms.AT_MOST


def test_empty_picture_is_embedded_once(workshop, place, monkeypatch):
    written = forms.folder(place, "kandinsky22")
    workshop.difference("kandinsky22", written, steps=(1,))
    assert set(load_file(place / "empty_picture.safetensors")) == {"embeddings"}
    monkeypatch.setattr("realtime.rendering.diffusion.empty_picture.embed_zeros", lambda _: pytest.fail("again"))
    assert workshop.difference("kandinsky22", written, steps=(1,)) <= forms.AT_MOST
