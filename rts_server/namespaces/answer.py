"""What a command answers, and how a method becomes one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from rts_server import errors
from rts_server.namespaces.session import Session
from rts_server.protocol.commands import Command

UNAVAILABLE = errors.Unavailable()


@dataclass(frozen=True)
class DurableAnswer:
    """An ack's data whose `status` comes when the fate does, or `accepted` after durable_wait.

    `late` is called with the fate when the ack could not wait for it; `failed` is what the ack says
    when it can never be; `place` gives what may move until the ack: where it is in the room.
    """

    data: dict[str, Any]
    fate: asyncio.Future[str]
    late: Callable[[str], Coroutine[Any, Any, None]] | None = None
    failed: errors.Refusal = UNAVAILABLE
    place: Callable[[], dict[str, Any]] | None = None

    def told(self, status: str) -> dict[str, Any]:
        """The ack of now."""
        place = {} if self.place is None else self.place()
        return self.data | place | {"status": status}


Answer = dict[str, Any] | DurableAnswer
Handler = Callable[[Any, Session, dict[str, Any]], Awaitable[Answer]]
H = TypeVar("H", bound=Handler)


def command(name: str, schema: type[Command]) -> Callable[[H], H]:
    """Register a method as a command: its return value is the ack, a Refusal the refusal."""

    def register(method: H) -> H:
        method.__dict__["__command__"] = (name, schema())
        return method

    return register
