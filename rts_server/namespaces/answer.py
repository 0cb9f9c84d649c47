"""The answer of a command handler, and the decorator that registers a method as a command."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from rts_server import errors
from rts_server.namespaces.session import Session
from rts_server.protocol.commands import InputSchema
from rts_server.roomlog.pending import Durability


@dataclass(frozen=True)
class PendingAnswer:
    """The data of an ack whose `status` is the durability of an append.

    The ack is sent when `durability` is resolved (`queued`, `stored` or `failed`), or with the
    status `accepted` after `durable_wait` seconds.

    Attributes:
        data: The `data` object of the ack, without `status`.
        durability: Resolved by the durability tracker.
        on_late: Called with the durability if the ack was sent before it was known.
        failed: The error to answer when the append failed.
        position: Returns the fields that may still change until the ack is sent: an append that is
            repeated after a loss of Redis gets another position.
    """

    data: Mapping[str, object]
    durability: asyncio.Future[Durability]
    on_late: Callable[[str], Coroutine[Any, Any, None]] | None = None
    failed: type[errors.Refusal] = errors.Unavailable
    position: Callable[[], Mapping[str, object] | None] | None = None

    def with_status(self, status: str) -> dict[str, object]:
        """Return the data of an ack that is sent now."""
        position = self.position() if self.position else None
        return {**self.data, **(position or {}), "status": status}


@dataclass(frozen=True)
class LaterAnswer:
    """The answer of a command behind which others need not wait: `work` returns its data."""

    work: Callable[[], Awaitable[Mapping[str, object]]]


Answer = Mapping[str, object] | PendingAnswer | LaterAnswer
Handler = Callable[[Any, Session, Any], Awaitable[Answer]]
"""(namespace, session, payload): each handler declares the type of its own payload."""
H = TypeVar("H", bound=Handler)


def command(name: str, schema: type[InputSchema]) -> Callable[[H], H]:
    """Register a method as the handler of a command.

    The handler receives the validated payload. Its return value is the `data` of the ack; a raised
    `Refusal` is the `error` of the ack.
    """

    def register(method: H) -> H:
        method.__dict__["__command__"] = (name, schema())
        return method

    return register
