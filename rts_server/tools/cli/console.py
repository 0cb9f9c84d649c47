"""What a command shows: people read lines and colours, programs one JSON object a line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click
import orjson

CLEAR = "\r\033[K"


class Console:
    """Results go to standard output, everything else to standard error."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self._bar_shown = False

    def show(self, row: dict[str, Any], *lines: str) -> None:
        """A result: the row for programs, or its lines for people."""
        for text in (orjson.dumps(row).decode(),) if self.as_json else lines:
            self._clear()
            click.echo(text)

    def say(self, text: str) -> None:
        """A word to whoever sits there."""
        self._clear()
        click.echo(text, err=True)

    def table(self, rows: Sequence[dict[str, Any]], *columns: str) -> None:
        """Results as a table: of each row these columns."""
        if self.as_json:
            for row in rows:
                self.show(row)
            return
        cells = [list(columns), *([_cell(row.get(name)) for name in columns] for row in rows)]
        widths = [max(len(line[at]) for line in cells) for at in range(len(columns))]
        for line in cells:
            padded = (f"{text:<{width}}" for text, width in zip(line, widths, strict=True))
            click.echo("  ".join(padded).rstrip())

    @contextmanager
    def progress(self, total: int) -> Iterator[Callable[[], None]]:
        """A bar on a terminal, nothing elsewhere; call what it yields for each thing done."""
        if not sys.stderr.isatty():
            yield lambda: None
            return
        shown = click.progressbar(length=total, file=sys.stderr, show_pos=True, show_eta=True)
        with shown as bar:
            self._bar_shown = True
            yield lambda: bar.update(1)
        self._bar_shown = False

    def _clear(self) -> None:
        """The line of the bar; the next thing done draws it again."""
        if self._bar_shown:
            sys.stderr.write(CLEAR)
            sys.stderr.flush()


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def added(text: str) -> str:
    """Green."""
    return click.style(text, fg="green")


def removed(text: str) -> str:
    """Red."""
    return click.style(text, fg="red")


def changed(text: str) -> str:
    """Yellow."""
    return click.style(text, fg="yellow")
