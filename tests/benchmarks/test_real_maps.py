"""Maps and scores of real recordings: the gratings, which are few; what the pages say of them is made of the same."""

import pytest

from benchmarks import page_tables, real_maps
from benchmarks.report import newest


@pytest.fixture(scope="module")
def found(shared_data):
    assert shared_data == real_maps.DATA
    return real_maps.run(quick=True)


@pytest.mark.slow
def test_gratings_are_told_apart_and_mapped_where_labels_move_along_alike(found):
    score = found["scores"]["muse_spatial_freq"]
    assert score["auc"] > 0.65
    assert score["auc_p"] <= 0.05
    assert abs(score["baseline_auc"] - 0.5) < 0.1
    (mapped,) = found["texture"].values()
    assert mapped["permutations"] == 77, "one for each place in the shortest recording"
    assert mapped["cluster_p"] <= 0.05
    assert mapped["before_p"] > 0.05
    assert 100 < mapped["at_ms"] < 200


@pytest.mark.slow
def test_the_pages_of_real_recordings_are_made_of_what_is_measured(found):
    told = {"real-maps": newest()["real-maps"] | {"result": newest()["real-maps"]["result"] | found}}
    assert f"{found['scores']['muse_spatial_freq']['auc']:.3f}" in page_tables.texture(told)
    assert "(of 77 orders)" in page_tables.texture(told)
    assert "muse_spatial_freq`: low or high" in page_tables.presets(told)


def test_what_was_published_of_gratings_is_above_its_null_and_the_photographs_are_not():
    result = newest()["real-maps"]["result"]
    baseline, *_ = result["texture"].values()
    assert baseline["cluster_p"] <= 0.05 < baseline["before_p"]
    assert result["scores"]["muse_spatial_freq"]["auc_p"] <= 0.05
    below = [one for one in result["faces"]["attributes"].values() if one["cluster_p"] <= 0.05 < one["before_p"]]
    assert not below, "an attribute that is found, and not before onset: say so in docs/maps.md"
