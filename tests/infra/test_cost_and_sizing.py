"""docs/cost.md computes correctly, and docs/sizing.md quotes the measured figures."""

from __future__ import annotations

import re

import pytest

from lambdas.batch_report import METRICS
from rts_server import emf
from tests.helpers.template import PATH, of_type, resources

ROOT = PATH.parents[1]
COST = (ROOT / "docs" / "cost.md").read_text()
SIZING = (ROOT / "docs" / "sizing.md").read_text()
NUMBER = r"\d[\d,]*(?:\.\d+)?"


def tables(text: str) -> list[list[list[str]]]:
    """Return each table as rows of cells, without its head."""
    found = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    return [
        [[cell.strip(" *") for cell in row.strip("|").split("|")] for row in table.splitlines()[2:]]
        for table in found
    ]


(LETTERS, MILLION, STANDING) = tables(COST)
PRICES = {row[0]: float(row[2].removesuffix(" each")) for row in LETTERS}


def value(formula: str) -> float:
    """Evaluate a sum of products and quotients; letters are prices, ` each` and ` s` ignored."""
    total = 0.0
    for product in formula.removesuffix(" each").split(" + "):
        factors = re.findall(rf"(÷)? ?(?:({NUMBER})|\b([A-Z])\b)", product)
        assert factors, formula
        result = 1.0
        for divided, number, letter in factors:
            factor = PRICES[letter] if letter else float(number.replace(",", ""))
            result = result / factor if divided else result * factor
        total += result
    return total


@pytest.mark.parametrize("row", LETTERS, ids=lambda row: row[0])
def test_a_price_has_its_source_and_date(row: list[str]) -> None:
    """Each price has a name, a source and a date, and its link is defined."""
    _, what, _, source, date = row
    assert what
    assert re.search(r"20\d\d$", date)
    assert "list, " in source or "[" in source
    for _, link in re.findall(r"\[([^]]+)\]\[(\w+)\]", source):
        assert f"[{link}]: https://" in COST


@pytest.mark.parametrize("row", MILLION[:-1], ids=lambda row: row[0])
def test_a_row_is_the_product_of_its_factors(row: list[str]) -> None:
    """The cost of a million messages is computed correctly, alone and in full batches."""
    for formula, quoted in (row[1:3], row[3:5]):
        assert value(formula) == pytest.approx(float(quoted), abs=0.0051)


def test_the_rows_of_a_million_sum_up() -> None:
    """The total of a million messages is the sum of the rows."""
    for column in (2, 4):
        rows = sum(float(row[column]) for row in MILLION[:-1])
        assert rows == pytest.approx(float(MILLION[-1][column]), abs=0.001)


def test_the_standing_rows_sum_up() -> None:
    """Each standing cost is the product of its factors; the total is their sum in dollars."""
    total = 0.0
    for _, formula, quoted in STANDING[:-1]:
        for part, dollars in zip(formula.split(" + "), quoted.split(" + "), strict=True):
            assert value(part) == pytest.approx(float(dollars.removesuffix(" each")), abs=0.0051)
        total += value(formula)
    assert round(total) == int(STANDING[-1][2])


def test_priced_counts_are_those_of_the_template() -> None:
    """The counts of alarms and metrics are those of template, environment and processes."""
    quoted = {row[0].partition(":")[0]: row[1] for row in STANDING}
    every = of_type("CloudWatch::Alarm")
    of_shards = {name for name in every if name.startswith("RedisShard")}  # there is one shard
    alarms = len(every.keys() - of_shards) + 1
    assert quoted[f"{alarms} alarms"] == f"{alarms} A"
    processes = sum(map(len, emf.METRICS_BY_PROCESS.values()))
    assert quoted["metrics"] == f"{processes + len(emf.BY_ENVIRONMENT) + 2 * len(METRICS)} M"


def test_the_memory_of_the_functions_is_that_of_the_template() -> None:
    """The time of a call is priced with the memory that its function has."""
    quoted = {row[0]: row[1] for row in MILLION}
    (batches,) = (formula for name, formula in quoted.items() if name.startswith("Lambda: time"))
    for function, formula in (
        ("MessageFunction", batches),
        ("RoomFunction", quoted["calls, time and logs for them"]),
    ):
        memory = resources()[function]["Properties"]["MemorySize"]
        assert f" s × {round(memory / 1024, 2)} G" in formula


def test_every_measured_figure_is_in_the_bench_results() -> None:
    """The figures of sizing.md are those of `make bench`, rounded."""
    results = re.findall(NUMBER, (ROOT / "bench" / "RESULTS.md").read_text())
    known = {round(float(number.replace(",", ""))) for number in results}
    measured = [cell for row in tables(SIZING)[0] for cell in (row[1], row[3])]
    quoted = [
        int(n.replace(",", ""))
        for cell in measured
        for n in re.findall(rf"{NUMBER}(?= µ| K)", cell)
    ]
    assert len(quoted) == 10
    assert set(quoted) <= known
