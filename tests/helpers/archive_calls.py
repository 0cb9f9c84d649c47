"""Counts what is asked of the archive."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rts_server.persistence.archive import Archive


@contextmanager
def counted_calls(archive: Archive) -> Iterator[Counter[str]]:
    """Count calls by the name of the method that runs in a thread, until the block ends.

    `items`: the items that batched reads ask for.
    """
    seen: Counter[str] = Counter()
    in_thread = archive._in_thread

    async def counted(read: Callable[..., Any], *args: Any) -> Any:
        seen[read.__name__] += 1
        if read.__name__ == "_batch":
            seen["items"] += len(args[0])
        return await in_thread(read, *args)

    archive._in_thread = counted  # type: ignore[method-assign]
    try:
        yield seen
    finally:
        archive._in_thread = in_thread  # type: ignore[method-assign]
