import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import pearsonr

from calibration.scores import feature_networks
from calibration.scores import reconstruction as rs
from configs.torchvision_shim import load_torchvision
from tests.support.command import perceptogram

load_torchvision()
import open_clip  # noqa: E402

SIDE = 96
NETWORKS = {network.name: network for network in feature_networks.NETWORKS}
# seconds each, and a gigabyte for the CLIP tower: the other two are of the same kind
QUICK = ("alexnet", "resnet50")


def pictures(n, seed=0, side=SIDE):
    """Smooth coloured noise: neighbouring pixels agree, as in photographs."""
    rng = np.random.default_rng(seed)
    return [
        np.asarray(Image.fromarray(rng.integers(0, 255, (6, 6, 3), np.uint8)).resize((side, side), Image.BICUBIC))
        for _ in range(n)
    ]


def noisy(images, amount, seed=1):
    rng = np.random.default_rng(seed)
    return [np.clip(image + rng.normal(0, amount, image.shape), 0, 255).astype(np.uint8) for image in images]


def save_weights(folder, name):
    """Write random weights of the true architecture as the published file holds them."""
    torch.manual_seed(0)
    network = feature_networks.make_network(name)
    if name == "efficientnet_b1":  # without statistics of its own, a random one of this depth says nothing
        for layer in network.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.momentum = 1.0
        with torch.no_grad():
            network.train()(rs.to_tensor(pictures(8, seed=5), 128))
    state = network.state_dict()
    if name == "resnet50":  # SwAV's file: saved from several GPUs, other heads in place of the classifier
        state = {f"module.{key}": value for key, value in state.items() if not key.startswith("fc.")}
        state["module.prototypes.weight"] = torch.zeros(3, 8)
    torch.save(state, folder / NETWORKS[name].file)


def save_clip_weights(folder):
    """Write as many weights as CLIP has, in half precision as they are published, of few random numbers."""
    with torch.device("meta"):
        clip = open_clip.create_model("ViT-L-14-quickgelu", pretrained=None, device="meta")
    numbers = 0.02 * torch.randn(1 << 20, generator=torch.Generator().manual_seed(0)).half()
    state = {}
    for name, weight in clip.state_dict().items():
        if weight.ndim > 1 or name.endswith("class_embedding"):
            count = weight.numel()
            state[name] = numbers.repeat(-(-count // len(numbers)))[:count].view(weight.shape)
        else:
            state[name] = torch.full(weight.shape, 0.0 if name.endswith("bias") else 1.0, dtype=torch.half)
    torch.save(state, folder / NETWORKS["ViT-L-14-quickgelu"].file)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    for name in QUICK:
        save_weights(folder, name)
    return folder


def test_pixel_scores_are_those_of_their_definitions():
    shown = pictures(4)
    painted = noisy(shown, 40)
    found = rs.score_pictures(painted, shown, rs.Path("nowhere"), size=SIDE)
    expected = np.mean([pearsonr(a.ravel() / 255.0, b.ravel() / 255.0)[0] for a, b in zip(painted, shown, strict=True)])
    assert found["scores"]["PixCorr"] == pytest.approx(expected, abs=1e-5)
    assert 0.0 < found["scores"]["SSIM"] < 1.0
    assert found["exchanged"]["PixCorr"] < 0.5 < found["scores"]["PixCorr"]
    same = rs.score_pictures(shown, shown, rs.Path("nowhere"), size=SIDE)["scores"]
    assert same["PixCorr"] == pytest.approx(1)
    assert same["SSIM"] == pytest.approx(1)


def test_structural_similarity_of_one_place():
    """By the formula, window by window, with the eleven weights written out."""
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 13, 13))
    offsets = np.arange(-5, 6)
    line = np.exp(-0.5 * (offsets / 1.5) ** 2)
    kernel = np.outer(line, line) / line.sum() ** 2
    values = []
    for row in range(5, 8):
        for column in range(5, 8):
            x, y = (z[row - 5 : row + 6, column - 5 : column + 6] for z in (a, b))
            mx, my = np.sum(kernel * x), np.sum(kernel * y)
            vx, vy = np.sum(kernel * (x - mx) ** 2), np.sum(kernel * (y - my) ** 2)
            both = np.sum(kernel * (x - mx) * (y - my))
            values.append((2 * mx * my + 1e-4) * (2 * both + 9e-4) / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4)))
    assert rs.structural_similarity(a, b) == pytest.approx(np.mean(values))


def test_two_way_identification_counts_the_pictures_that_are_less_alike():
    rng = np.random.default_rng(0)
    shown = rng.normal(size=(30, 50))
    painted = 0.3 * shown + rng.normal(size=(30, 50))
    wins = [
        np.corrcoef(painted[i], shown[j])[0, 1] < np.corrcoef(painted[i], shown[i])[0, 1]
        for i in range(30)
        for j in range(30)
        if j != i
    ]
    assert 0.6 < rs.two_way(painted, shown) < 1
    assert rs.two_way(painted, shown) == pytest.approx(np.mean(wins))
    chance = [rs.two_way(rng.normal(size=(30, 50)), shown) for _ in range(50)]
    assert np.mean(chance) == pytest.approx(0.5, abs=0.03)


@pytest.mark.slow
def test_all_scores_that_have_weights_and_no_others(weights):
    shown = pictures(6)
    found = rs.score_pictures(noisy(shown, 10), shown, weights, size=SIDE)
    there = {"PixCorr", "SSIM", "AlexNet(2)", "AlexNet(5)", "SwAV"}
    assert list(found["scores"]) == list(rs.SCORES)
    assert {score for score, value in found["scores"].items() if value is not None} == there
    assert len(found["absent"]) == 3
    assert "CLIP: no ViT-L-14.pt in" in found["absent"][1]
    assert found["scores"]["AlexNet(2)"] == 1.0, "slightly noisy pictures are told apart even by random features"
    assert found["exchanged"]["AlexNet(2)"] < 0.7
    assert found["scores"]["SwAV"] < found["exchanged"]["SwAV"]
    same = rs.score_pictures(shown, shown, weights, size=SIDE)["scores"]
    assert same["SwAV"] == pytest.approx(0, abs=1e-6)
    assert same["AlexNet(5)"] == 1.0


def test_features_are_those_of_the_named_layers(weights):
    """Layer by layer, beside what the feature extractor gives."""
    images = rs.to_tensor(pictures(2), 256)
    network = NETWORKS["alexnet"]
    with torch.inference_mode():
        found = feature_networks.features_of(feature_networks.load_network(network, weights), images, network)
        model = feature_networks.make_network("alexnet")
        model.load_state_dict(torch.load(weights / network.file, weights_only=True))
        mean, std = (torch.tensor(values)[:, None, None] for values in feature_networks.IMAGENET)
        x = (images - mean) / std
        for index, layer in enumerate(model.features):
            x = layer(x.clone())
            if index == 4:  # the second convolution's rectifier, index 11 the last convolution's
                np.testing.assert_allclose(found["AlexNet(2)"], x.flatten(1), atol=1e-4)
            if index == 11:
                np.testing.assert_allclose(found["AlexNet(5)"], x.flatten(1), atol=1e-4)


@pytest.mark.slow
def test_the_large_networks_too(tmp_path):
    for name in ("inception_v3", "efficientnet_b1"):
        save_weights(tmp_path, name)
    save_clip_weights(tmp_path)
    shown = pictures(2)
    scores = rs.score_pictures(noisy(shown, 5), shown, tmp_path, size=SIDE)["scores"]
    assert {score for score, value in scores.items() if value is None} == {"AlexNet(2)", "AlexNet(5)", "SwAV"}
    assert scores["Inception"] > 0.5
    assert scores["CLIP"] > 0.5
    assert 0 < scores["EffNet-B"] < 0.9


@pytest.mark.parametrize(
    ("painted", "shown", "complaint"),
    [
        (pictures(1), pictures(1), "1 painted and 1 shown pictures: at least 2 pairs"),
        (pictures(3), pictures(2), "3 painted and 2 shown"),
        ([np.zeros((8, 8), np.uint8)] * 2, pictures(2), r"picture 0 is uint8 \[8, 8\]"),
    ],
)
def test_pictures_that_cannot_be_scored_are_refused(painted, shown, complaint):
    with pytest.raises(feature_networks.ScoreError, match=complaint):
        rs.score_pictures(painted, shown)


def test_weights_of_another_network_are_refused(weights, tmp_path):
    (tmp_path / NETWORKS["alexnet"].file).write_bytes((weights / NETWORKS["resnet50"].file).read_bytes())
    with pytest.raises(feature_networks.ScoreError, match="does not hold the weights of alexnet"):
        feature_networks.load_network(NETWORKS["alexnet"], tmp_path)
    (tmp_path / NETWORKS["resnet50"].file).write_bytes((weights / NETWORKS["alexnet"].file).read_bytes())
    with pytest.raises(feature_networks.ScoreError, match="does not hold the weights of resnet50"):
        feature_networks.load_network(NETWORKS["resnet50"], tmp_path)


def test_the_command_prints_what_it_has_and_na_for_the_rest(tmp_path):
    import json

    shown = pictures(3)
    for folder, images in (("shown", shown), ("painted", noisy(shown, 10))):
        (tmp_path / folder).mkdir()
        for k, image in enumerate(images):
            Image.fromarray(image).save(tmp_path / folder / f"{k}.png")
    out = tmp_path / "scores.json"
    command = ("score-pictures", tmp_path / "painted", tmp_path / "shown", "--weights", tmp_path)
    done = perceptogram(*command, "--size", SIDE, "--json", out)
    assert done.returncode == 0, done.stderr
    assert "n/a (n/a)" in done.stdout
    assert "n/a: CLIP: no ViT-L-14.pt" in done.stderr
    found = json.loads(out.read_text())
    assert found["scores"]["CLIP"] is None
    assert found["scores"]["PixCorr"] > 0.9
    (tmp_path / "shown" / "2.png").unlink()
    done = perceptogram(*command)
    assert done.returncode == 2
    assert "1 of 3 painted pictures have none of their name" in done.stderr
