"""Output of operators' commands, for people and for programs."""

from __future__ import annotations

import io
import json
import sys

import pytest

from rts_server.tools.cli.output import CLEAR_LINE, CommandOutput, counted

ROWS = [{"name": "order-17", "n": 1, "more": None}, {"name": "x", "n": 12_345}]


class Terminal(io.StringIO):
    """A text stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_results_are_lines_or_json_rows(capsys: pytest.CaptureFixture[str]) -> None:
    """A result is its lines, or with --json one object per line."""
    CommandOutput(as_json=False).print_result({"a": 1}, "one", "two")
    assert capsys.readouterr().out == "one\ntwo\n"
    CommandOutput(as_json=True).print_result({"a": 1}, "one", "two")
    assert json.loads(capsys.readouterr().out) == {"a": 1}


def test_a_table_aligns_its_columns(capsys: pytest.CaptureFixture[str]) -> None:
    """Columns are as wide as their longest cell; a missing value is `-`."""
    CommandOutput(as_json=False).print_table(ROWS, "name", "n", "more")
    assert capsys.readouterr().out.splitlines() == [
        "name      n      more",
        "order-17  1      -",
        "x         12345  -",
    ]
    CommandOutput(as_json=True).print_table(ROWS, "name")
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == ROWS


def test_a_number_and_its_noun_agree() -> None:
    """One membership, but no and two memberships."""
    told = [counted(number, "membership") for number in (0, 1, 2)]
    assert told == ["0 memberships", "1 membership", "2 memberships"]


def test_messages_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output holds results only."""
    CommandOutput(as_json=True).print_message("order-17: gone")
    assert capsys.readouterr() == ("", "order-17: gone\n")


def test_a_line_erases_the_progress_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """While a bar is shown, it is erased before each result; without a terminal there is none."""
    output = CommandOutput(as_json=False)
    with output.progress_bar(2) as advance:
        advance()
    assert capsys.readouterr().err == ""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with output.progress_bar(2) as advance:
        output.print_result({}, "one")
        assert terminal.getvalue().endswith(CLEAR_LINE)
        advance()
        assert "1/2" in terminal.getvalue()
