"""A run over many things: many at once, and an honest word at the end, however it ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Generic, Protocol, TypeVar

import click

from rts_server.tools.cli.bounded_map import each
from rts_server.tools.cli.console import Console, removed
from rts_server.tools.cli.server import Refused, Unreachable

AT_ONCE = 64
HOPELESS = {"unauthorized", "token_expired", "forbidden"}

Item = TypeVar("Item")
ItemAgain = TypeVar("ItemAgain", covariant=True)

at_once = click.option(
    "--at-once", type=click.IntRange(1, 1000), default=AT_ONCE, show_default=True, help="Rooms."
)


class Items(Protocol[ItemAgain]):
    """Can be counted, and walked more than once in the same order."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[ItemAgain]: ...


@dataclass(frozen=True)
class Result:
    """What became of one: `row` for programs, `lines` for people; neither for one that failed.

    `status`: accepted is heard by all and in the log, but not stored yet.
    """

    name: str
    action: str = ""
    row: dict[str, Any] = field(default_factory=dict)
    lines: tuple[str, ...] = ()
    status: str = ""
    error: Refused | None = None

    @property
    def hopeless(self) -> bool:
        """Whether the next one would be answered the same."""
        return isinstance(self.error, Unreachable) or (
            self.error is not None and self.error.code in HOPELESS
        )


class Run(Generic[Item]):
    """`verbs`: each action, and how it is said in the last line; `name` of an item."""

    def __init__(
        self,
        screen: Console,
        items: Items[Item],
        verbs: Mapping[str, str],
        name: Callable[[Item], str],
    ) -> None:
        self._screen = screen
        self._items = items
        self._verbs = verbs
        self._name = name
        self._counts: Counter[str] = Counter()
        self._accepted = 0
        self._failed: list[tuple[str, str]] = []

    async def of(self, act: Callable[[Item], Awaitable[Result]], at_once: int) -> int:
        """Do it; the exit code: 1 when something is left, which is said, also when interrupted."""
        try:
            async with aclosing(walk(self._screen, self._items, act, at_once)) as results:
                async for result in results:
                    self._note(result)
                    if result.hopeless:
                        break
        finally:
            code = self._tell()
        return code

    def _note(self, result: Result) -> None:
        if result.error is not None:
            self._failed.append((result.name, str(result.error)))
            return
        self._counts[result.action] += 1
        self._accepted += result.status == "accepted"
        self._screen.show(result.row, *result.lines)

    def _left(self) -> Iterator[tuple[str, str]]:
        yield from self._failed
        seen = self._counts.total() + len(self._failed)
        for item in islice(self._items, seen, None):
            yield self._name(item), "not tried"

    def _tell(self) -> int:
        for name, why in self._left():
            row = {"type": "left", "name": name, "reason": why}
            self._screen.show(row, removed(f"! {name}: {why}"))
        left = len(self._items) - self._counts.total()
        counts = {action: self._counts[action] for action in self._verbs}
        parts = [f"{counts[action]} {verb}" for action, verb in self._verbs.items()]
        parts += [f"{self._accepted} not stored yet"] if self._accepted else []
        parts += [f"{left} left"] if left else []
        total = {"type": "summary", **counts, "left": left, "accepted": self._accepted}
        self._screen.show(total, ", ".join(parts) + ".")
        return 1 if left else 0


async def walk(
    screen: Console,
    items: Items[Item],
    act: Callable[[Item], Awaitable[Result]],
    at_once: int,
) -> AsyncGenerator[Result, None]:
    """The results in the order of the items, with a bar on a terminal."""
    with screen.progress(len(items)) as advance:
        async with aclosing(each(act, items, at_once)) as results:
            async for result in results:
                yield result
                advance()
