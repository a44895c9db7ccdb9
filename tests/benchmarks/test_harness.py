import json

import numpy as np
import pytest

from benchmarks import harness, page_tables, readme_table, report


def test_the_interval_of_a_median_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(1000):
        median, low, high = harness.median_interval(rng.exponential(size=41))
        assert low <= median <= high
        inside += low <= np.log(2) <= high
    assert 930 <= inside <= 990


@pytest.mark.parametrize("values", [[3.0], [1.0, 2.0], [1.0, 2.0, 9.0]])
def test_few_values_have_their_range_as_interval(values):
    assert harness.median_interval(values)[1:] == (min(values), max(values))


def test_contenders_take_turns_and_change_places():
    calls = []
    times = harness.interleaved({name: lambda name=name: calls.append(name) for name in "ab"}, 3)
    assert "".join(calls) == "ab" + "ab" + "ba" + "ab"
    assert [len(one) for one in times.values()] == [3, 3]


def test_a_spell_that_strikes_both_leaves_the_ratio_alone():
    spell = np.array([1.0, 1.0, 9.0, 5.0, 1.0, 2.0, 7.0])
    assert harness.paired_ratio(spell, 3 * spell)[0] == pytest.approx(3.0)


def test_a_power_law_is_found():
    sizes = [1, 2, 4, 8]
    assert harness.fitted_power(sizes, [3 * x**1.5 for x in sizes]) == pytest.approx(1.5)


def test_what_is_not_installed_is_said():
    found = harness.versions("numpy", "no-such-package-here")
    assert found == {"numpy": np.__version__, "no-such-package-here": "absent"}


def test_results_of_a_day_grow_section_by_section(tmp_path):
    told = {"cpu": "Fast(TM) CPU 3", "cores": 2}
    printed = report.Printed("a | b", ("what", "ms"), (("x", "1"),))
    report.save("decode", {"p50_us": 1.0}, [printed], told, "2026-01-02", tmp_path)
    page = report.save("fit", {"seconds": 2.0}, [], told, "2026-01-02", tmp_path)
    report.save("fit", {"seconds": 3.0}, [], told, "2026-01-02", tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "2026-01-02-fast-tm-cpu-3-2-cores.json",
        "2026-01-02-fast-tm-cpu-3-2-cores.md",
    ]
    text = page.read_text()
    assert text.index("## decode") < text.index("## fit")
    assert "**a \\| b**" in text
    assert "| x | 1 |" in text
    report.save("fit", {"seconds": 4.0}, [], told, "2026-01-03", tmp_path)
    found = report.newest(tmp_path)
    assert (found["fit"]["result"]["seconds"], found["fit"]["date"]) == (4.0, "2026-01-03")
    assert found["decode"]["date"] == "2026-01-02"


def test_of_one_day_the_last_measurement_counts_whichever_machines_it_is(tmp_path):
    for cpu, seconds in (("Zeta", 1.0), ("Alpha", 2.0)):
        told = {"cpu": cpu, "cores": 2}
        report.save("fit", {"seconds": seconds}, [], told, "2026-01-02", tmp_path)
    report.save("decode", {"p50_us": 1.0}, [], told, "2026-01-02", tmp_path)
    assert report.newest(tmp_path)["fit"]["result"] == {"seconds": 2.0}
    assert "## fit" not in (tmp_path / "2026-01-02-zeta-2-cores.md").read_text()


THROUGHPUT = {
    "channels": 256,
    "rate_hz": 2000.0,
    "seconds": 60.0,
    "lost": 0,
    "core_fraction": 0.31,
    "push_to_chunk_p50_ms": 0.62,
}


def test_the_readme_says_what_was_measured_and_how_to_see_it():
    told = {"result": THROUGHPUT, "machine": {"cpu": "Fast", "cores": 2}, "date": "2026-01-02", "page": "x.md"}
    text = readme_table.table({"throughput": told})
    assert "| 256 channels at 2,000 Hz over LSL, 60 s | 0 samples lost, 0.31 cores, 0.6 ms to the session |" in text
    assert "`perceptogram bench throughput`" in text
    assert "[Fast, 2 cores, 2026-01-02](benchmarks/results/x.md)" in text
    assert "ridge" not in text


def test_only_the_marked_place_of_the_readme_changes():
    begin, other, end = readme_table.BEGIN.format("claims"), readme_table.BEGIN.format("rooms"), readme_table.END
    page = f"before\n{begin}\nold\n{end}\nbetween\n{other}\nelse\n{end}\nafter\n"
    new = readme_table.put(page, "claims", "| new |")
    assert new == f"before\n{begin}\n\n| new |\n\n{end}\nbetween\n{other}\nelse\n{end}\nafter\n"
    assert readme_table.put(new, "claims", "| new |") == new
    for bad in ("no marks", f"{begin} not closed", f"{begin}\n{end}\n{begin}\n{end}"):
        with pytest.raises(ValueError, match="not marked"):
            readme_table.put(bad, "claims", "")


def test_a_page_says_what_is_not_measured_and_names_faults_in_words():
    places = {"claims": ("stream-soak", lambda results: "never")}
    page = f"{readme_table.BEGIN.format('claims')}\n{readme_table.END}"
    assert "Not yet measured here: `perceptogram bench stream-soak`" in readme_table.written(page, places, {})
    text = page_tables.faults(report.newest())
    assert "| 25 lost | " in text
    assert "| a twin appears (live) | " in text
    assert not [name for name in page_tables.FAULTS if name in text.split(" | ")]


def test_committed_results_make_the_readmes_table():
    results = report.newest()
    for name, section in results.items():
        json.dumps(section)
        assert section["tables"], name
    assert readme_table.main(["--check"]) == 0, "run python -m benchmarks.readme_table"


def test_a_part_that_is_kept_is_not_measured_again_but_for_a_run_of_another_size(tmp_path):
    measured = []

    def measure():
        measured.append(1)
        return [{"n": len(measured)}]

    for _ in range(2):
        assert harness.Parts(tmp_path / "kept", "full").get("one", measure) == [{"n": 1}]
    assert harness.Parts(tmp_path / "kept", "quick").get("one", measure) == [{"n": 2}]
    assert harness.Parts(None, "full").get("one", measure) == [{"n": 3}]
