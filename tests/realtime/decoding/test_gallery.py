import numpy as np
import pytest

from realtime.decoding.gallery import Gallery, similarity


def _gallery(n=40, dims=16, seed=0):
    rng = np.random.default_rng(seed)
    common = 10 * rng.standard_normal(dims)
    embeddings = (common + rng.standard_normal((n, dims)) * rng.uniform(0.5, 2, dims)).astype(np.float32)
    names = tuple(f"p{k}" for k in range(n))
    return Gallery(names, names, embeddings, embeddings.mean(axis=0), embeddings.std(axis=0))


def test_chance_is_zero_although_all_embeddings_share_a_large_part():
    gallery = _gallery(n=400)
    raw = gallery.embeddings / np.linalg.norm(gallery.embeddings, axis=1, keepdims=True)
    assert (raw @ raw.T).mean() > 0.9
    scores = similarity(gallery.embeddings, gallery.embeddings, gallery.mean, gallery.std)
    others = scores[~np.eye(400, dtype=bool)]
    assert abs(others.mean()) < 0.01
    np.testing.assert_allclose(np.diag(scores), 1, atol=1e-5)


def test_nearest_comes_first():
    gallery = _gallery()
    nudged = gallery.embeddings[7] + 0.1 * np.random.default_rng(1).standard_normal(16)
    ranked = gallery.rank(nudged, 3)
    assert ranked[0].name == "p7"
    assert ranked[0].similarity > ranked[1].similarity > ranked[2].similarity


def test_a_dimension_without_spread_is_left_out():
    gallery = _gallery()
    std = gallery.std.copy()
    std[3] = 0
    shifted = gallery.embeddings.copy()
    shifted[:, 3] += 1000
    kept = similarity(gallery.embeddings, gallery.embeddings, gallery.mean, std)
    np.testing.assert_allclose(similarity(shifted, gallery.embeddings, gallery.mean, std), kept, atol=1e-5)


def test_a_part_of_the_gallery_keeps_its_scale():
    gallery = _gallery()
    part = gallery.only({"p3", "p5"})
    assert part.names == ("p3", "p5")
    np.testing.assert_allclose(
        part.similarities(gallery.embeddings[5]), gallery.similarities(gallery.embeddings[5])[[3, 5]], rtol=1e-5
    )
    with pytest.raises(ValueError, match="nowhere"):
        gallery.only({"p3", "nowhere"})


def test_two_way_is_the_share_of_pictures_that_are_less_alike():
    gallery = _gallery()
    assert gallery.two_way(gallery.embeddings[2], "p2") == 1.0
    alike = np.delete(gallery.similarities(gallery.embeddings[2]), 4)
    own = gallery.similarities(gallery.embeddings[2])[4]
    assert gallery.two_way(gallery.embeddings[2], "p4") == pytest.approx(np.mean(alike < own))
    assert gallery.two_way(gallery.mean, "p4") == 0.5, "what says nothing is at chance"
    assert gallery.two_way(gallery.embeddings[2], "nowhere") is None
    assert gallery.two_way(gallery.embeddings[2], None) is None
    assert gallery.only({"p2"}).two_way(gallery.embeddings[2], "p2") is None
