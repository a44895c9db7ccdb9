"""The protocol on made-up people in preprocessed files: their own maps, the others', what is kept between runs."""

import json

import numpy as np
import pytest

from calibration import protocol
from calibration.errors import FitError
from calibration.protocol import Plan, Tables
from calibration.scores.published import PUBLISHED
from calibration.things_eeg2 import ArrayFiles, run, table
from configs.schema import FitSettings
from tests.support.command import perceptogram
from tests.support.preprocessed import CHANNELS, DIMS, N_TEST, N_TRAINING, write_people

SETTINGS = FitSettings(permutations=30, alphas=(1e2, 1e3, 1e4, 1e5))


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Three made-up subjects, whose answers are turned against one another."""
    root = tmp_path_factory.mktemp("things")
    return root, *write_people(root, subjects=3)


def plan_of(tree, folder, subjects=("01", "02", "03"), **changed):
    root, training, test = tree
    people = ArrayFiles(root, (len(training), len(test)))
    given = {"learned_from": ("averages",), "across": True, "settings": SETTINGS} | changed
    return Plan(people, subjects, Tables(training, test), folder=folder, **given)


@pytest.fixture(scope="module")
def found(tree, tmp_path_factory):
    folder = tmp_path_factory.mktemp("kept")
    return run(plan_of(tree, folder)), folder


def rows(found, **wanted):
    return [row for row in found["rows"] if all(row[name] == value for name, value in wanted.items())]


def test_each_person_by_their_own_map(found):
    scores, _ = found
    for subject in ("01", "02", "03"):
        own = rows(scores, subject=subject, trained_on="own")
        assert [row["repeats"] for row in own] == [1, 2, 4, 8]
        assert [row["n"] for row in own] == [N_TEST * 8, N_TEST * 4, N_TEST * 2, N_TEST]
        single, every = own[0], own[-1]
        assert (every["all"], every["channels"], every["n_learned"]) == (True, len(CHANNELS), N_TRAINING)
        assert every["two_way"] > single["two_way"] > 0.55
        assert every["two_way"] > 0.9
        assert every["p"] == pytest.approx(1 / 31, rel=1e-3)
        assert every["chance_top1"] == pytest.approx(1 / N_TEST)
        for score in ("top1", "top5", "two_way"):
            assert every[f"{score}_interval"][0] <= every[score] <= every[f"{score}_interval"][1]
        (before,) = rows(scores, subject=subject, trained_on="before onset")
        assert abs(before["two_way"] - 0.5) < 0.12


def test_the_others_map_is_better_when_it_is_aligned(found):
    scores, _ = found
    every = {kind: rows(scores, trained_on=kind, all=True) for kind in ("own", "others", "others, aligned")}
    means = {kind: np.mean([row["two_way"] for row in same]) for kind, same in every.items()}
    assert 0.55 < means["others"] < means["others, aligned"] < means["own"]
    assert all(row["aligned_on"] == 4 * N_TRAINING for row in every["others, aligned"])


def test_means_over_people_have_intervals_over_people_and_pictures(found):
    scores, _ = found
    kinds = {(row["trained_on"], row["repeats"]) for row in scores["mean"]}
    assert {("own", 1), ("own", 8), ("others", 8), ("others, aligned", 8), ("before onset", 8)} <= kinds
    for row in scores["mean"]:
        same = rows(scores, trained_on=row["trained_on"], repeats=row["repeats"])
        assert row["people"] == len(same) == 3
        assert row["top1"] == pytest.approx(np.mean([one["top1"] for one in same]), rel=1e-4)
        low, high = row["top1_interval"]
        assert low <= row["top1"] <= high
        widest = max(one["top1_interval"][1] - one["top1_interval"][0] for one in same)
        assert high - low > widest / 3 or widest == 0


def test_published_rows_say_where_they_were_read(found):
    lines = table(found[0])
    published = [line for line in lines if line[0].startswith("published: ")]
    assert len(published) == len(PUBLISHED)
    assert all(line[-1] for line in published)
    assert any(line[2] is None for line in published)  # nothing is made up where nothing was found


def test_single_trials_are_learned_from_too(tree, tmp_path):
    scores = run(plan_of(tree, tmp_path, ("01",), learned_from=("averages", "single trials"), across=False))
    averages, single = (
        rows(scores, trained_on="own", learned_from=how, all=True)[0] for how in ("averages", "single trials")
    )
    assert (averages["n_learned"], single["n_learned"]) == (N_TRAINING, 4 * N_TRAINING)
    assert single["two_way"] > 0.9


def test_the_contrastive_head_is_scored_beside_the_embedding(tree, tmp_path):
    contrastive = {"identification": "auto", "identification_dims": DIMS, "identification_decay": (0.1,)}
    settings = SETTINGS.model_copy(update=contrastive)
    scores = run(plan_of(tree, tmp_path, ("01",), across=False, settings=settings))
    (own,), (head,) = (rows(scores, trained_on=kind, all=True) for kind in ("own", "own, contrastive"))
    assert head["two_way"] > own["two_way"] - 0.1
    assert head["pays"] in (True, False)
    assert head["n"] == own["n"]


def test_a_run_that_was_cut_off_goes_on_and_ends_the_same(tree, found, tmp_path, monkeypatch):
    scores, folder = found
    plan = plan_of(tree, folder)
    lost = next((folder / "scores").glob("02-others-*.json"))
    lost.unlink()
    original = protocol.fit_map
    monkeypatch.setattr(protocol, "fit_map", lambda *_: pytest.fail("was fitted again"))
    assert run(plan) == scores
    monkeypatch.setattr(protocol, "fit_map", original)
    # Other settings are other scores.
    changed = Plan(**{**vars(plan), "settings": SETTINGS.model_copy(update={"seed": 1}), "subjects": ("01",)})
    assert run(changed)["rows"] != rows(scores, subject="01")


def test_people_side_by_side_give_the_same(tree, found, tmp_path):
    # Threads: the point is the setting, and worker processes take longer to start than this takes to run.
    plan = plan_of(tree, tmp_path, ("01", "02"), across=False)
    wanted = [
        row for row in found[0]["rows"] if row["subject"] != "03" and row["trained_on"] in ("own", "before onset")
    ]
    told = []
    assert run(plan, jobs=2, backend="threading", progress=lambda *how_far: told.append(how_far))["rows"] == wanted
    people = len(plan.subjects)
    for part in dict.fromkeys(part for part, _, _ in told):
        assert [one[1:] for one in told if one[0] == part] == [(done, people) for done in range(people + 1)]
    assert told[0][0] == "people, each by own map"


def test_of_one_person_it_is_told_how_far_the_map_is(tree, tmp_path):
    told = []
    run(plan_of(tree, tmp_path, ("01",), across=False), progress=lambda _, done, total: told.append((done, total)))
    assert told == sorted(told)
    assert (told[0], told[-1]) == ((0, 1), (1, 1))
    assert len({done for done, _ in told if 0 < done < 1}) > 2


def test_pictures_of_both_parts_are_refused(tree):
    """Recognised by its repeats, a picture would seem decoded: in either form the parts must share none."""
    _, training, test = tree
    with pytest.raises(FitError, match="1 test pictures, such as number 3, have the embedding of a training picture"):
        Tables(training, np.concatenate([test[:2], training[5:6]]))


def test_what_is_recognised_but_not_seen_is_at_chance(tmp_path):
    """Every picture leaves a mark of its own, the same in all repeats and in all people, that tells nothing of it."""
    training, test = write_people(tmp_path, subjects=2, signal=0.0, mark=30.0)
    scores = run(plan_of((tmp_path, training, test), tmp_path / "kept", ("01", "02")))
    for row in rows(scores, all=True):
        assert row["two_way_interval"][0] < 0.5 < row["two_way_interval"][1] or abs(row["two_way"] - 0.5) < 0.1


def test_says_when_files_and_embeddings_do_not_fit(tree, tmp_path):
    root, training, test = tree
    with pytest.raises(FitError, match="300 training pictures, but 299"):
        run(plan_of((root, training[:-1], test), tmp_path, ("01",)))
    with pytest.raises(FitError, match="cannot read"):
        run(plan_of((tmp_path, training, test), tmp_path, ("01",)))


def test_the_command_writes_what_it_prints(tree, tmp_path):
    root, training, test = tree
    np.save(tmp_path / "training.npy", training.astype(np.float32))
    np.save(tmp_path / "test.npy", test.astype(np.float32))
    given = ("--training", tmp_path / "training.npy", "--test", tmp_path / "test.npy")
    done = perceptogram("things-eeg2", "--root", root, "--subjects", "1,2", *given, "--json", tmp_path / "scores.json")
    assert done.returncode == 0, done.stderr
    told = json.loads((tmp_path / "scores.json").read_text())
    assert told["subjects"] == ["01", "02"]
    assert "others, aligned" in done.stdout
    assert "SAMGA" in done.stdout
    done = perceptogram("things-eeg2", "--root", root, *given, "--dask", "tcp://127.0.0.1:1")
    assert (done.returncode, "--dask needs --out" in done.stderr) == (2, True)
