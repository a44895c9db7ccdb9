"""Weights from a hub: a server on loopback that answers as the public one does, and the hub's own client."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.support import tiny_models

COMMIT = "0123456789abcdef0123456789abcdef01234567"
PAINTS = """
import json, logging, sys
import numpy as np
from configs.schema import RenderSettings
from realtime.rendering.generators.make import make_generator
from realtime.rendering.errors import GeneratorError

logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
for settings in json.loads(sys.argv[1]):
    generator = make_generator(RenderSettings(**settings))
    try:
        generator.prepare()
    except GeneratorError as error:
        print("refused:", error)
        continue
    *_, picture = generator.stream(np.ones(1024, np.float32), 0, 1)
    print("painted:", picture.shape)
"""


class Hub(BaseHTTPRequestHandler):
    """Repositories ``owner/name`` are folders under `root`."""

    def __init__(self, root, asked, *arguments):
        self.root, self.asked = root, asked
        super().__init__(*arguments)

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, *, body):
        path = self.path.partition("?")[0].strip("/")
        if path.startswith("api/models/"):
            repo = "/".join(path.split("/")[2:4])
            if not (self.root / repo).is_dir():
                return self.refuse("RepoNotFound")
            found = [file for file in sorted((self.root / repo).rglob("*")) if file.is_file()]
            sizes = {file.relative_to(self.root / repo).as_posix(): file.stat().st_size for file in found}
            if "/tree/" in path:
                content = [{"type": "file", "path": name, "size": size, "oid": "0"} for name, size in sizes.items()]
            else:
                siblings = [{"rfilename": name, "size": size} for name, size in sizes.items()]
                content = {"id": repo, "sha": COMMIT, "siblings": siblings, "private": False}
            return self.send(json.dumps(content).encode(), body=body, kind="application/json")
        repo, _, file = path.partition("/resolve/")
        found = self.root / repo / file.partition("/")[2]
        if not found.is_file():
            return self.refuse("EntryNotFound")
        if body:
            self.asked.append(f"{repo}/{file.partition('/')[2]}")
        return self.send(found.read_bytes(), body=body)

    def refuse(self, why):
        self.send_response(404)
        self.send_header("X-Error-Code", why)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def send(self, content, *, body, kind="application/octet-stream"):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if body:
            self.wfile.write(content)


@pytest.fixture
def hub(tmp_path):
    """Yield the folder of its repositories, its address, and what was fetched from it."""
    root, asked = tmp_path / "hub", []
    root.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Hub, root, asked))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield root, f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()
    thread.join()


def paint(hub, cache, *settings):
    """Return what a process that may download says of each of `settings`, and what it logs."""
    environment = os.environ | {
        "HF_ENDPOINT": hub[1],
        "HF_HOME": str(cache),
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    environment.pop("HF_HUB_CACHE", None)
    done = subprocess.run(
        [sys.executable, "-c", PAINTS, json.dumps(settings)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines(), done.stderr


def test_what_is_published_is_downloaded_checked_and_painted_with(hub, tmp_path):
    root, _, asked = hub
    for name in ("half", "full", "cut", "parts", "empty"):
        folder = root / "owner" / name
        folder.mkdir(parents=True)
        tiny_models.make_model_folder(folder, "sd15")
        (folder / "README.md").write_text("A model card.")
        (folder / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"not asked for")
    network = Path("unet") / "diffusion_pytorch_model.safetensors"
    unet = tiny_models.make_unet("sd15")
    unet.half().save_pretrained(root / "owner/half/unet", variant="fp16")
    whole = (root / "owner/cut" / network).read_bytes()
    (root / "owner/cut" / network).write_bytes(whole[: len(whole) // 2])
    (root / "owner/parts" / network).unlink()
    unet.save_pretrained(root / "owner/parts/unet", max_shard_size="500KB")
    missing = sorted((root / "owner/parts/unet").glob("*-of-*.safetensors"))[1]
    missing.unlink()
    (root / "owner/empty" / network).unlink()
    tiny_models.make_tiny_decoder(root / "owner/taesd")
    (root / "owner/adapters/models").mkdir(parents=True)
    tiny_models.make_adapter_file(root / "owner/adapters/models/sd15.safetensors", "sd15")
    shared = {
        "generator": "sd15-few-step",
        "steps": 1,
        "size": 64,
        "device": "cpu",
        "download": True,
        "lora": "none",
        "adapter": "owner/adapters/models/sd15.safetensors",
        "decoder_weights": "owner/taesd",
        "prompt": str(root / "owner/half/empty_prompt.safetensors"),
    }
    names = ("half", "full", "cut", "parts", "empty", "absent", "half")
    said, log = paint(hub, tmp_path / "cache", *(shared | {"weights": f"owner/{name}"} for name in names))
    half, full, cut, parts, empty, absent, again = said
    assert half == full == again == "painted: (64, 64, 3)"
    assert f"{network.name} does not hold whole weights" in cut
    assert f"unet is not whole: {missing.name} of diffusion_pytorch_model.safetensors.index.json is missing" in parts
    assert "owner/empty on the hub holds no unet/*.safetensors: render.weights must be a" in empty
    assert "cannot download Stable Diffusion 1.5 from owner/absent" in absent
    assert "owner/full has no half-precision weights of unet: the full ones, twice as large, are downloaded" in log
    assert "owner/half has no half-precision" not in log
    fetched = [file for file in asked if file.startswith("owner/half/")]
    assert len(set(fetched)) == len(fetched), "a second start asks the hub for nothing"
    assert "owner/half/unet/diffusion_pytorch_model.fp16.safetensors" in fetched
    assert not any(file.endswith((network.as_posix(), ".bin", ".md")) for file in fetched)
