"""A command over many items: concurrent, with a summary at the end however it ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Generic, Protocol, TypeVar

import click

from rts_server.tools.cli.api_client import ApiError, ServerUnreachable
from rts_server.tools.cli.bounded_map import bounded_map
from rts_server.tools.cli.output import CommandOutput, removed

DEFAULT_CONCURRENCY = 64
FATAL_CODES = {"unauthorized", "token_expired", "forbidden"}
"""Errors of the token: every other item would be refused as well."""

Item = TypeVar("Item")
YieldedItem = TypeVar("YieldedItem", covariant=True)

at_once_option = click.option(
    "--at-once",
    type=click.IntRange(1, 1000),
    default=DEFAULT_CONCURRENCY,
    show_default=True,
    help="Rooms processed at the same time.",
)


class SizedIterable(Protocol[YieldedItem]):
    """Has a length, and can be iterated more than once in the same order."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[YieldedItem]: ...


@dataclass(frozen=True)
class ItemResult:
    """Result of one item: `row` for programs, `lines` for people; both empty after an error.

    `status` is "accepted" if the change is in the room log, but not in DynamoDB yet.
    """

    name: str
    action: str = ""
    row: dict[str, Any] = field(default_factory=dict)
    lines: tuple[str, ...] = ()
    status: str = ""
    error: ApiError | None = None

    @property
    def fatal(self) -> bool:
        """Whether the error would meet every other item as well."""
        return isinstance(self.error, ServerUnreachable) or (
            self.error is not None and self.error.code in FATAL_CODES
        )


class BatchRun(Generic[Item]):
    """Processes items and prints a summary.

    `verbs` maps each action to its words in the summary. `name` names an item that is left.
    """

    def __init__(
        self,
        output: CommandOutput,
        items: SizedIterable[Item],
        verbs: Mapping[str, str],
        name: Callable[[Item], str],
    ) -> None:
        self._output = output
        self._items = items
        self._verbs = verbs
        self._name = name
        self._counts: Counter[str] = Counter()
        self._accepted = 0
        self._failed: list[tuple[str, str]] = []

    async def process(self, function: Callable[[Item], Awaitable[ItemResult]], limit: int) -> int:
        """Process all items, at most `limit` at a time; return the exit code.

        The summary is printed also after an interruption. The code is 1 if items are left.
        """
        try:
            results = iterate_results(self._output, self._items, function, limit)
            async with aclosing(results):
                async for result in results:
                    self._record(result)
                    if result.fatal:
                        break
        finally:
            code = self._print_summary()
        return code

    def _record(self, result: ItemResult) -> None:
        if result.error is not None:
            self._failed.append((result.name, str(result.error)))
            return
        self._counts[result.action] += 1
        self._accepted += result.status == "accepted"
        self._output.print_result(result.row, *result.lines)

    def _remaining(self) -> Iterator[tuple[str, str]]:
        """Yield (name, reason) of each item that failed or was not tried."""
        yield from self._failed
        processed = self._counts.total() + len(self._failed)
        for item in islice(self._items, processed, None):
            yield self._name(item), "not tried"

    def _print_summary(self) -> int:
        for name, reason in self._remaining():
            row = {"type": "left", "name": name, "reason": reason}
            self._output.print_result(row, removed(f"! {name}: {reason}"))
        left = len(self._items) - self._counts.total()
        counts = {action: self._counts[action] for action in self._verbs}
        parts = [f"{counts[action]} {verb}" for action, verb in self._verbs.items()]
        parts += [f"{self._accepted} not stored yet"] if self._accepted else []
        parts += [f"{left} left"] if left else []
        summary = {"type": "summary", **counts, "left": left, "accepted": self._accepted}
        self._output.print_result(summary, ", ".join(parts) + ".")
        return 1 if left else 0


async def iterate_results(
    output: CommandOutput,
    items: SizedIterable[Item],
    function: Callable[[Item], Awaitable[ItemResult]],
    limit: int,
) -> AsyncGenerator[ItemResult, None]:
    """Yield the results in the order of the items, with a progress bar on a terminal."""
    with output.progress_bar(len(items)) as advance:
        async with aclosing(bounded_map(function, items, limit)) as results:
            async for result in results:
                yield result
                advance()
