"""Output of an operator's command: text and colours for people, NDJSON for programs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click
import orjson

CLEAR_LINE = "\r\033[K"
"""Carriage return, and erase to the end of the line (ECMA-48, EL)."""


class CommandOutput:
    """Prints results to standard output and everything else to standard error."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self._bar_visible = False

    def print_result(self, row: dict[str, Any], *lines: str) -> None:
        """Print one result: `row` as JSON for programs, or `lines` for people."""
        for text in (orjson.dumps(row).decode(),) if self.as_json else lines:
            self._clear_bar()
            click.echo(text)

    def print_message(self, text: str) -> None:
        """Print a message for people to standard error."""
        self._clear_bar()
        click.echo(text, err=True)

    def print_table(self, rows: Sequence[dict[str, Any]], *columns: str) -> None:
        """Print the given columns of all rows; programs get the whole rows as JSON."""
        if self.as_json:
            for row in rows:
                self.print_result(row)
            return
        cells = [list(columns), *([_cell(row.get(name)) for name in columns] for row in rows)]
        widths = [max(len(line[at]) for line in cells) for at in range(len(columns))]
        for line in cells:
            padded = (f"{text:<{width}}" for text, width in zip(line, widths, strict=True))
            click.echo("  ".join(padded).rstrip())

    @contextmanager
    def progress_bar(self, total: int) -> Iterator[Callable[[], None]]:
        """Show a progress bar if standard error is a terminal.

        Yields a function that advances the bar by one.
        """
        if not sys.stderr.isatty():
            yield lambda: None
            return
        progress = click.progressbar(length=total, file=sys.stderr, show_pos=True, show_eta=True)
        with progress as bar:
            self._bar_visible = True
            yield lambda: bar.update(1)
        self._bar_visible = False

    def _clear_bar(self) -> None:
        """Erase the bar before a line is printed; the next advance draws it again."""
        if self._bar_visible:
            sys.stderr.write(CLEAR_LINE)
            sys.stderr.flush()


def counted(number: int, noun: str) -> str:
    """Return the number with its noun, which takes an s unless the number is 1."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def added(text: str) -> str:
    """Style text as an addition (green)."""
    return click.style(text, fg="green")


def removed(text: str) -> str:
    """Style text as a removal or a failure (red)."""
    return click.style(text, fg="red")


def changed(text: str) -> str:
    """Style text as a change (yellow)."""
    return click.style(text, fg="yellow")
