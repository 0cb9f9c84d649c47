"""The answer of a command handler, and the decorator that registers a method as a command."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from rts_server import errors
from rts_server.namespaces.session import Session
from rts_server.protocol.commands import InputSchema


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

    data: dict[str, Any]
    durability: asyncio.Future[str]
    on_late: Callable[[str], Coroutine[Any, Any, None]] | None = None
    failed: type[errors.Refusal] = errors.Unavailable
    position: Callable[[], dict[str, Any]] | None = None

    def with_status(self, status: str) -> dict[str, Any]:
        """Return the data of an ack that is sent now."""
        position = {} if self.position is None else self.position()
        return self.data | position | {"status": status}


Answer = dict[str, Any] | PendingAnswer
Handler = Callable[[Any, Session, dict[str, Any]], Awaitable[Answer]]
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
