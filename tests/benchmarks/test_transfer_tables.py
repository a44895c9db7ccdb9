"""The tables of the page that says what sources give, from rows as the benchmark leaves them."""

from benchmarks import accuracy_tables


def row(name, mode, trials, auc, **more):
    return {"set": name, "mode": mode, "trials": trials, "auc": auc, "low": 0.0, "high": 1.0, "alone": None} | more


def results(*rows):
    return {"transfer": {"result": {"rows": list(rows)}, "machine": {"cpu": "a", "cores": 2}, "date": "2026-01-01"}}


def test_rows_of_one_set_stand_side_by_side_and_people_are_their_mean():
    table = accuracy_tables.transfer(
        results(
            row("day 2", "cross session", 0, 0.7),
            row("day 2", "cross session, EEG aligned", 0, 0.71),
            row("day 2", "within session", 40, 0.6),
            row("day 2", "within session, EEG aligned", 40, 0.1),
            row("day 2", "cross session", 40, 0.75),
            *(row(f"gtec_p300 person {n}", "cross subject", 0, auc) for n, auc in ((1, 0.6), (2, 0.8))),
        )
    )
    assert "| `day 2` | 0.700 | 0.710 | 0.600 | 0.750 |" in table
    assert "| `gtec_p300, mean of 2` | 0.700 |" in table


def test_simulated_people_are_told_by_minutes():
    people = [
        row(f"simulated person {n}", "within session", size, auc, minutes=minutes)
        for n in (1, 2)
        for size, minutes, auc in ((900, 3.0, 0.7), (2400, 8.0, 0.8))
    ]
    table = accuracy_tables.population(results(*people))
    assert "| simulated, mean of 2 | 3 min | 8 min |" in table
    assert "| within session | 0.700 | 0.800 |" in table
