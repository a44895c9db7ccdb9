"""How good the embedded world is: the small encoder, and the generator judged by a classifier that is not the encoder.

    python -m benchmarks.embedded --out build/embedded

Everything is measured on the 200 test pictures, whose seeds neither the training nor the calibration pictures share.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from benchmarks.judge import load_judge, look
from calibration.data.embeddings import Encoder, load_encoder
from realtime.rendering.embedded.generator import EmbeddedGenerator
from stimuli.drawn.colour import ground_hue, hue_distance, object_hue
from stimuli.drawn.concepts import CONCEPTS
from stimuli.drawn.manifest import calibration_pictures, test_pictures
from stimuli.drawn.picture import DrawnPicture
from stimuli.drawn.texture import TEXTURES

Pictures = NDArray[np.uint8]
Embeddings = NDArray[np.float32]
SIDE = 128  # pixels of a generated picture


def run(out: Path | None, quick: bool) -> dict[str, float]:
    """Measure everything; with `out`, also write ``contact_sheet.png`` there.

    Parameters
    ----------
    out
        Folder for the contact sheet.
    quick
        Judge 40 test pictures (one a concept) in place of 200.
    """
    encoder, judge, generator = load_encoder(), load_judge(), EmbeddedGenerator()
    test = test_pictures()[:: 5 if quick else 1]
    shown = np.stack([picture.render() for picture in test])
    true = encoder.embed_images(list(shown))
    calibration = calibration_pictures()[:: 2 if quick else 1]
    known_pictures = np.stack([picture.render(SIDE) for picture in calibration])
    known = encoder.embed_images(list(known_pictures))

    result: dict[str, float] = {"n_concepts": len(CONCEPTS), "n_pictures": len(test)}
    result |= {"encoder_top1": _zero_shot(encoder, true, test)} | _decodable(known, calibration, true, test)
    drawn = {steps: _draw(generator, true, steps) for steps in (1, 4)}
    imprecise = _draw(generator, with_cosine(true, known, 0.5, np.random.default_rng(0)), 4)
    truth = np.stack([np.asarray(Image.fromarray(image).reduce(image.shape[0] // SIDE)) for image in shown])
    concepts = np.array([list(CONCEPTS).index(picture.concept) for picture in test])
    textures = np.array([TEXTURES.index(picture.texture) for picture in test])
    said = {"shown": look(judge, truth), "imprecise": look(judge, imprecise)} | {
        s: look(judge, d) for s, d in drawn.items()
    }
    result["judge_concept_accuracy_shown"] = float(np.mean(said["shown"].concept == concepts))
    result["judge_texture_accuracy_shown"] = float(np.mean(said["shown"].texture == textures))
    result["concept_accuracy_4_steps"] = float(np.mean(said[4].concept == concepts))
    result["concept_accuracy_1_step"] = float(np.mean(said[1].concept == concepts))
    result["texture_accuracy_generated"] = float(np.mean(said[4].texture == textures))
    result["texture_accuracy_1_step"] = float(np.mean(said[1].texture == textures))
    result["concept_accuracy_cosine_0_5"] = float(np.mean(said["imprecise"].concept == concepts))

    mean_picture = np.broadcast_to(known_pictures.mean(0).round().astype(np.uint8), truth.shape)
    other_picture = np.roll(truth, len(truth) // 2, axis=0)
    for suffix, candidate in (("", drawn[4]), ("_mean_picture", mean_picture), ("_random_picture", other_picture)):
        result["two_way" + suffix] = two_way(
            look(judge, np.ascontiguousarray(candidate)).features, said["shown"].features
        )
        result["pixcorr" + suffix] = float(np.mean([pixcorr(a, b) for a, b in zip(candidate, truth, strict=True)]))
        result["ssim" + suffix] = float(np.mean([ssim(a, b) for a, b in zip(candidate, truth, strict=True)]))
    hues = np.array([picture.hue_deg for picture in test])
    result["generated_hue_r"] = hue_correlation([object_hue(image) for image in drawn[4]], hues)
    result["generated_hue_r_1_step"] = hue_correlation([object_hue(image) for image in drawn[1]], hues)
    result["shown_hue_r"] = hue_correlation([object_hue(image) for image in truth], hues)
    for name, images in (("shown", truth), ("generated", drawn[4])):
        ground = hue_distance([ground_hue(image) for image in images], [picture.ground_hue_deg for picture in test])
        result[f"{name}_hue_within_30"] = float(
            np.mean(hue_distance([object_hue(image) for image in images], hues) <= 30)
        )
        result[f"{name}_ground_within_40"] = float(np.mean(ground <= 40))
    result |= {f"ms_{s}_step{'s' * (s > 1)}": _milliseconds(generator, true[0], s) for s in (1, 2, 4)}
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        _contact_sheet(truth, drawn[1], drawn[4], imprecise).save(out / "contact_sheet.png")
    return result


def with_cosine(true: Embeddings, known: Embeddings, cosine: float, rng: np.random.Generator) -> Embeddings:
    """Return embeddings with cosine `cosine` to the true ones, once both are standardised by the known embeddings.

    Cosines of raw embeddings are inflated by their common mean, so they would call a useless prediction a good one.
    """
    mean, std = known.mean(0), known.std(0)
    standard = (true - mean) / std
    noise = rng.normal(size=standard.shape)
    length = np.linalg.norm(standard, axis=1, keepdims=True)
    unit = standard / length
    noise -= (noise * unit).sum(1, keepdims=True) * unit
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    mixed = length * (cosine * unit + np.sqrt(1 - cosine**2) * noise)
    found: Embeddings = (mixed * std + mean).astype(np.float32)
    return found


def two_way(generated: NDArray[np.float32], true: NDArray[np.float32]) -> float:
    """Return how often a picture's features correlate more with the true picture's than with another's (chance 0.5)."""
    r = np.nan_to_num(np.corrcoef(generated, true)[: len(generated), len(generated) :])
    own, others = np.diag(r)[:, None], r[~np.eye(len(r), dtype=bool)].reshape(len(r), -1)
    return float(np.mean((own > others) + 0.5 * (own == others)))


def pixcorr(first: Pictures, second: Pictures) -> float:
    """Return the correlation of two pictures' pixels."""
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


def ssim(first: Pictures, second: Pictures) -> float:
    """Return the structural similarity of two pictures in grey (Wang et al., 2004: Gaussian window, sigma 1.5)."""
    x, y = (image.astype(np.float64).mean(2) for image in (first, second))
    mean_x, mean_y = gaussian_filter(x, 1.5), gaussian_filter(y, 1.5)
    variance_x, variance_y = gaussian_filter(x * x, 1.5) - mean_x**2, gaussian_filter(y * y, 1.5) - mean_y**2
    covariance = gaussian_filter(x * y, 1.5) - mean_x * mean_y
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    similarity = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    return float(np.mean(similarity / ((mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2))))


def hue_correlation(first_deg: list[float] | NDArray[np.float64], second_deg: NDArray[np.float64]) -> float:
    """Return the correlation of hues, each as a point on the circle (cosine and sine)."""
    return float(np.corrcoef(_circle(first_deg).ravel(), _circle(second_deg).ravel())[0, 1])


def _circle(degrees: list[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    angle = np.radians(degrees)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _zero_shot(encoder: Encoder, true: Embeddings, test: tuple[DrawnPicture, ...]) -> float:
    names = list(CONCEPTS)
    prompts = encoder.embed_texts([f"a drawing of a{'n' if name[0] in 'aeiou' else ''} {name}" for name in names])
    unit = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in (true, prompts)]
    named = (unit[0] @ unit[1].T).argmax(1)
    return float(np.mean([names[i] == picture.concept for i, picture in zip(named, test, strict=True)]))


def _decodable(
    known: Embeddings, calibration: tuple[DrawnPicture, ...], true: Embeddings, test: tuple[DrawnPicture, ...]
) -> dict[str, float]:
    """Fit attributes linearly on calibration embeddings and measure them on test embeddings."""

    def targets(pictures: tuple[DrawnPicture, ...]) -> NDArray[np.float64]:
        one_hot = np.array([[picture.texture == name for name in TEXTURES] for picture in pictures], dtype=np.float64)
        light = np.array([[picture.brightness] for picture in pictures])
        return np.concatenate([_circle([picture.hue_deg for picture in pictures]), light, one_hot], axis=1)

    mean, std = known.mean(0), known.std(0)
    x, x_test = (known - mean) / std, (true - mean) / std
    y = targets(calibration)
    weights = np.linalg.solve(x.T @ x + 10.0 * np.eye(x.shape[1]), x.T @ (y - y.mean(0)))
    said, wanted = x_test @ weights + y.mean(0), targets(test)
    return {
        "hue_r": float(np.corrcoef(said[:, :2].ravel(), wanted[:, :2].ravel())[0, 1]),
        "brightness_r": float(np.corrcoef(said[:, 2], wanted[:, 2])[0, 1]),
        "texture_accuracy": float(np.mean(said[:, 3:].argmax(1) == wanted[:, 3:].argmax(1))),
    }


def _draw(generator: EmbeddedGenerator, embeddings: Embeddings, steps: int) -> Pictures:
    return np.stack([list(generator.stream(e, seed, steps))[-1] for seed, e in enumerate(embeddings)])


def _milliseconds(generator: EmbeddedGenerator, embedding: Embeddings, steps: int, repeats: int = 20) -> float:
    """Return the median time of one picture on two threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    times = []
    for seed in range(repeats):
        began = time.perf_counter()
        for _ in generator.stream(embedding, seed, steps):
            pass
        times.append(time.perf_counter() - began)
    torch.set_num_threads(threads)
    return 1000 * median(times)


def _contact_sheet(*rows: Pictures, columns: int = 10) -> Image.Image:
    """Return a sheet with one block of rows for every ten pictures: shown, 1 step, 4 steps, 4 steps at cosine 0.5."""
    chosen = np.linspace(0, len(rows[0]) - 1, 4 * columns).round().astype(int)
    blocks = []
    for block in np.split(chosen, 4):
        blocks += [np.concatenate(list(row[block]), axis=1) for row in rows]
        blocks.append(np.full((12, SIDE * columns, 3), 255, np.uint8))
    return Image.fromarray(np.concatenate(blocks))


def main() -> None:
    """Print the measures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder for contact_sheet.png")
    parser.add_argument("--quick", action="store_true", help="judge 40 pictures in place of 200")
    a = parser.parse_args()
    print(json.dumps(run(a.out, a.quick), indent=2))


if __name__ == "__main__":
    main()
