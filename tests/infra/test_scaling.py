"""docs/scaling.md computes correctly, and names tests that exist."""

from __future__ import annotations

import ast
import math
import re

import pytest

from rts_server import keys
from tests.helpers.template import PATH

ROOT = PATH.parents[1]
PAGE = (ROOT / "docs" / "scaling.md").read_text()
LOADS = (1_000, 10_000, 100_000, 1_000_000)
ROUNDED = 0.011
"""Figures have three digits at most."""
COUNTED = ("processes", "primaries", "relays", "queues")
"""In the rows of things of which there is a whole number."""


def tables(title: str) -> list[list[str]]:
    """The cells of the rows below a heading, without the heads of their tables."""
    text = re.split(rf"^#+ {re.escape(title)}$", PAGE, flags=re.MULTILINE)[1]
    text = re.split(r"^#+ ", text, flags=re.MULTILINE)[0]
    found = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    return [
        [cell.strip() for cell in row.strip().strip("|").split("|")]
        for table in found
        for row in table.splitlines()[2:]
    ]


def number(text: str) -> float:
    return float(text.replace(",", ""))


CONSTANTS = {row[0]: number(row[2]) for row in tables("Constants")}
WALK = tables("The walk to 1,000,000 messages/s")
BREAKS = tables("What breaks first")
HELD = re.findall(r"\[`(test_\w+)`\]\(\.\./(tests/[\w/]+\.py)\)", PAGE)


def value(formula: str, messages: float = 0.0) -> float:
    """Evaluate a formula of constants; M is the number of messages/s."""
    text = formula.replace("×", "*").replace("÷", "/").replace("−", "-").replace(",", "")
    return _value(ast.parse(text, mode="eval").body, CONSTANTS | {"M": messages})


def _value(node: ast.expr, names: dict[str, float]) -> float:
    match node:
        case ast.Constant(value=int() | float() as found):
            return float(found)
        case ast.Name(id=name):
            return names[name]
        case ast.BinOp(left=left, op=op, right=right):
            a, b = _value(left, names), _value(right, names)
            return {"Add": a + b, "Sub": a - b, "Mult": a * b, "Div": a / (b or 1)}[
                type(op).__name__
            ]
    raise ValueError(ast.dump(node))


@pytest.mark.parametrize("row", WALK, ids=lambda row: row[0])
def test_a_step_of_the_walk_is_its_formula(row: list[str]) -> None:
    """Things are counted up to the next whole one, all else is rounded."""
    what, formula, *quoted = row
    assert len(quoted) == len(LOADS)
    for messages, cell in zip(LOADS, quoted, strict=True):
        found = value(formula, messages)
        if any(one in what for one in COUNTED):
            assert number(cell) == math.ceil(found - 1e-9)
        else:
            assert number(cell) == pytest.approx(found, rel=0.02)


def test_what_breaks_first_comes_first() -> None:
    """Each is its formula, and they are in order."""
    quoted = [number(row[2]) for row in BREAKS]
    assert quoted == sorted(quoted)
    for row, breaks_at in zip(BREAKS, quoted, strict=True):
        assert breaks_at == pytest.approx(value(row[1]), rel=ROUNDED)


def test_constants_of_the_code_are_the_codes() -> None:
    """Those that a source file has, and every constant is used."""
    assert CONSTANTS["J"] == keys.PARTITIONS
    formulas = " ".join(row[1] for row in [*WALK, *BREAKS])
    assert {name for name in CONSTANTS if not re.search(rf"\b{name}\b", formulas)} == set()


@pytest.mark.parametrize(("test", "file"), sorted(set(HELD)))
def test_the_tests_that_hold_a_formula_exist(test: str, file: str) -> None:
    """In the file that is linked."""
    assert re.search(rf"^(?:async )?def {test}\(", (ROOT / file).read_text(), re.MULTILINE)


@pytest.mark.parametrize("title", ["A message", "Receipts", "A connect, a list, an operator",
                                   "Nothing happens", "Something failed"])  # fmt: skip
def test_each_formula_is_held_by_a_test(title: str) -> None:
    """Of a loop or a command."""
    rows = tables(title)
    assert rows
    assert [row[0] for row in rows if "](../tests/" not in row[3] and row[3] != "the same"] == []


def test_each_quota_has_its_page() -> None:
    """Of AWS, or it says that there is none."""
    for _, _, page in tables("Quotas of AWS"):
        links = re.findall(r"\]\[(\w+)\]", page)
        assert links or page.startswith("not verified")
        for link in links:
            assert f"\n[{link}]: https://docs.aws.amazon.com/" in PAGE
