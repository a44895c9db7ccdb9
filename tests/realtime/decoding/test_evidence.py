import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.decoding.early_answers import EarlyAnswer
from realtime.decoding.evidence import ConfidenceModel, PictureEvidence
from realtime.decoding.gallery import Gallery, project, similarity

MODEL = ConfidenceModel(gain=0.2, shared=0.1, length=30.0)


def _setting(dims=32, n=10, seed=0):
    rng = np.random.default_rng(seed)
    embeddings = rng.standard_normal((n, dims)).astype(np.float32)
    names = tuple(f"p{k}" for k in range(n))
    gallery = Gallery(names, names, embeddings, embeddings.mean(axis=0), embeddings.std(axis=0))
    return gallery, rng


def test_repeats_add_up_to_the_right_picture():
    gallery, rng = _setting()
    evidence = PictureEvidence(gallery, MODEL)
    percepts = [
        evidence.add(k, "p4", gallery.embeddings[4] + 3 * rng.standard_normal(32).astype(np.float32)) for k in range(60)
    ]
    assert [percept.repeats for percept in percepts] == list(range(1, 61))
    assert percepts[-1].neighbours[0].name == "p4"
    assert percepts[-1].confidence > percepts[0].confidence
    assert percepts[-1].decided
    assert not percepts[0].decided


def test_a_trial_is_compared_with_the_gallery_once_and_all_is_said_of_that(monkeypatch):
    gallery, rng = _setting()
    embedding = rng.standard_normal(32).astype(np.float32)
    compare, compared = Gallery.compare, []

    def count(self, embedding):
        compared.append(compare(self, embedding))
        return compared[-1]

    monkeypatch.setattr(Gallery, "compare", count)
    percept = PictureEvidence(gallery, MODEL, neighbours=3).add(0, "p4", embedding)
    assert len(compared) == 1
    along = project(embedding[None], gallery.embeddings, gallery.mean, gallery.std)[0]
    assert percept.confidence == pytest.approx(MODEL.posterior(along, 1).max())
    assert percept.two_way == np.mean(np.delete(along, 4) < along[4])
    nearest = np.argsort(-along)[:3]
    assert [near.name for near in percept.neighbours] == [f"p{k}" for k in nearest]
    found = similarity(embedding[None], gallery.embeddings, gallery.mean, gallery.std)[0, nearest]
    assert [near.similarity for near in percept.neighbours] == pytest.approx(found, rel=1e-5)


def test_unknown_pictures_stand_alone():
    gallery, _ = _setting()
    evidence = PictureEvidence(gallery, None)
    for trial in range(3):
        percept = evidence.add(trial, None, gallery.embeddings[trial])
        assert percept.repeats == 1
        assert percept.confidence is None
        assert not percept.decided
        np.testing.assert_array_equal(percept.embedding, gallery.embeddings[trial])


def test_trials_of_one_target_add_up_although_the_picture_is_unknown():
    gallery, _ = _setting()
    evidence = PictureEvidence(gallery, MODEL)
    evidence.add(0, None, gallery.embeddings[1], target="imagined")
    percept = evidence.add(1, None, gallery.embeddings[3], target="imagined")
    assert percept.picture is None
    assert percept.repeats == 2
    np.testing.assert_allclose(percept.embedding, gallery.embeddings[[1, 3]].mean(axis=0), atol=1e-6)
    assert evidence.add(2, None, gallery.embeddings[3], target="another").repeats == 1


def test_a_retracted_trial_leaves_no_trace():
    gallery, rng = _setting()
    wrong = 50 * rng.standard_normal(32).astype(np.float32)
    for model in (None, MODEL):
        evidence = PictureEvidence(gallery, model)
        evidence.add(0, "p1", gallery.embeddings[1])
        evidence.add(1, "p1", wrong)
        evidence.retract("p1", wrong)
        percept = evidence.add(2, "p1", gallery.embeddings[1])
        assert percept.repeats == 2
        np.testing.assert_allclose(percept.embedding, gallery.embeddings[1], atol=1e-4)
        evidence.retract("p1", gallery.embeddings[1])
        evidence.retract("p1", gallery.embeddings[1])
        assert evidence.add(3, "p1", gallery.embeddings[1]).repeats == 1


def test_an_unusual_trial_counts_for_little():
    gallery, rng = _setting()
    evidence = PictureEvidence(gallery, ConfidenceModel(0.2, 0.1, gallery.length(gallery.embeddings[2])))
    evidence.add(0, "p2", gallery.embeddings[2])
    artefact = 100 * rng.standard_normal(32).astype(np.float32)
    percept = evidence.add(1, "p2", artefact)
    assert percept.weight < 0.01
    assert percept.neighbours[0].name == "p2"
    assert percept.confidence == pytest.approx(evidence.add(2, "p3", gallery.embeddings[2]).confidence, abs=0.3)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), st.floats(1, 100))
def test_probabilities_add_up_and_keep_the_order(projections, repeats):
    posterior = MODEL.posterior(np.array(projections), repeats)
    assert posterior.sum() == pytest.approx(1.0)
    assert np.all(np.isfinite(posterior))
    assert posterior[int(np.argmax(projections))] == posterior.max()


def test_a_map_that_knows_nothing_is_as_sure_as_a_guess():
    assert ConfidenceModel(0.0, 0.0, 1.0).posterior(np.array([9.0, 1.0, 3.0, 2.0]), 8).max() == pytest.approx(0.25)


def test_probability_grows_with_reach_and_repeats():
    assert MODEL.posterior(np.array([3.0, 0.0]), 1)[0] > MODEL.posterior(np.array([1.0, 0.0]), 1)[0]
    assert MODEL.posterior(np.array([3.0, 0.0]), 8)[0] > MODEL.posterior(np.array([3.0, 0.0]), 1)[0]


def early(share, at_s=0.3):
    return EarlyAnswer(at_s, np.zeros((4, 1), np.float32), np.eye(4, 2, dtype=np.float32), share)


def test_an_early_answer_counts_for_its_share_and_is_kept_only_where_it_is_decided():
    gallery, rng = _setting()
    looks = gallery.embeddings[4] + 0.5 * rng.standard_normal((3, 32)).astype(np.float32)
    evidence = PictureEvidence(gallery, MODEL, decide_above=1.0)
    alone = evidence.add(0, "p4", looks[0], early=early(0.25))
    weaker = ConfidenceModel(0.25 * MODEL.gain, MODEL.shared, MODEL.length)
    assert alone.confidence == pytest.approx(weaker.posterior(gallery.compare(looks[0]).reach, 1).max(), rel=1e-6)
    assert (alone.repeats, alone.at_s, alone.decided) == (1, 0.3, False)
    first = evidence.add(0, "p4", looks[1])
    assert (first.repeats, first.at_s) == (1, None)
    np.testing.assert_array_equal(first.embedding, PictureEvidence(gallery, MODEL).add(0, "p4", looks[1]).embedding)
    second = evidence.add(1, "p4", looks[2], early=early(0.5))
    assert second.repeats == 2
    np.testing.assert_allclose(second.embedding, (looks[1] + 0.5 * looks[2]) / 1.5, rtol=1e-5)
    assert evidence.add(2, "p4", looks[2]).repeats == 2


def test_a_decided_early_answer_is_kept_and_can_be_taken_back():
    gallery, rng = _setting()
    looks = 9 * gallery.embeddings[[4, 4, 4]] + rng.standard_normal((3, 32)).astype(np.float32)
    evidence, never = (PictureEvidence(gallery, MODEL, decide_above=0.5) for _ in range(2))
    assert evidence.add(0, "p4", looks[0], early=early(0.5)).decided
    assert evidence.add(1, "p4", looks[1]).repeats == 2
    evidence.retract("p4", looks[0], 0.5)
    never.add(1, "p4", looks[1])
    again, expected = (one.add(2, "p4", looks[2]) for one in (evidence, never))
    assert again.repeats == expected.repeats == 2
    np.testing.assert_allclose(again.embedding, expected.embedding, rtol=1e-5)
    assert again.confidence == pytest.approx(expected.confidence)
