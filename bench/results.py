"""Turns rounds into medians, a table, and the newest section of RESULTS.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from math import isnan
from pathlib import Path
from statistics import median

from bench.workloads import RoundResult, Row

FILE = Path(__file__).parent / "RESULTS.md"
TITLE = "# Results of `make bench`\n"
WIDE_SPREAD = 0.25
OURS = "ours"
REFERENCES = ("Node", "Bun")
"""The contenders that ratios refer to."""

Rounds = Mapping[str, Sequence[RoundResult]]
"""Contender → its rounds."""


def table(rows: Mapping[str, Row], rounds: Rounds) -> str:
    """Return a Markdown table of medians; `~` marks rounds that differ by more than a quarter."""
    names = list(rounds)
    lines = [
        ["workload", "unit", *names, *(f"{OURS} : {one}" for one in REFERENCES), "wanted"],
        ["---"] * 2 + ["---:"] * (len(names) + len(REFERENCES)) + ["---"],
    ]
    for key, row in rows.items():
        values = {name: _values(rounds[name], key) for name in names}
        lines.append(
            [
                row.name,
                row.unit,
                *(_cell(these, row.digits) for these in values.values()),
                *(_ratio(values.get(OURS), values.get(one)) for one in REFERENCES),
                row.wanted,
            ]
        )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def shared_costs(rounds: Rounds) -> str:
    """Return the other costs of a message of the pairs."""
    parts = []
    for name, measured in rounds.items():
        for what in measured[0].shared_cpu if measured else ():
            cost = median(one.shared_cpu[what] for one in measured)
            if what == "Valkey" or name == OURS:
                parts.append(f"{what} under {name} {cost:.0f}")
    return f"Beside the servers, µs CPU per message of the pairs: {', '.join(parts)}."


def failures(rounds: Rounds) -> str:
    """Return a line for everything that was lost or late."""
    lines = [line for measured in rounds.values() for one in measured for line in one.failures]
    return "\n".join(f"- {line}" for line in dict.fromkeys(lines))


def write(text: str) -> None:
    """Insert a section dated today before the older ones."""
    old = FILE.read_text().removeprefix(TITLE) if FILE.exists() else ""
    FILE.write_text(f"{TITLE}\n## {datetime.now(UTC):%Y-%m-%d}\n\n{text}\n{old}")


def _values(measured: Sequence[RoundResult], key: str) -> list[float]:
    found = [one.figures[key] for one in measured if key in one.figures]
    return [value for value in found if not isnan(value)]


def _ratio(ours: Sequence[float] | None, theirs: Sequence[float] | None) -> str:
    return f"{median(ours) / median(theirs):.2f}" if ours and theirs else "–"


def _cell(values: Sequence[float], digits: int) -> str:
    if not values:
        return "–"
    middle = median(values)
    wide = max(values) - min(values) > WIDE_SPREAD * abs(middle)
    return f"{'~' if wide else ''}{middle:,.{digits}f}"
