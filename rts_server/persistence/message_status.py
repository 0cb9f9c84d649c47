"""`message.status`: the word behind an ack `accepted`, said until somebody hears it."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from rts_server import keys
from rts_server.persistence.outbox import MESSAGES, Entry
from rts_server.protocol.event import ephemeral
from rts_server.runtime.backoff import delay
from rts_server.runtime.tasks import Tasks
from rts_server.runtime.throttled_log import ThrottledLog

log = logging.getLogger(__name__)

KIND = "message.status"
RETRY_SECONDS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3.0)
"""Seconds between two tries; the last repeats."""
UNHEARD = 10
"""Times it is said to nobody: then the sender is not here, and learns it by sending again."""
MAX_DELAY_SECONDS = 900.0
"""Seconds after which a Redis that is away is not waited for any longer."""


class StatusPublisher:
    """Tells the senders' devices on all instances. Heard twice it harms nobody."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._tasks = Tasks()
        self._telling: set[asyncio.Task[None]] = set()
        self._throttled_log = ThrottledLog(log)

    def tell(self, room_id: str, user_id: str, data: dict[str, Any]) -> None:
        """Say `{message_id, client_msg_id, status}` soon, and again while nobody hears it."""
        task = self._tasks.keep(self._tell(*said(room_id, user_id, data)))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def settled(self) -> None:
        """Return when all is said."""
        while self._telling:
            await asyncio.wait(self._telling)

    async def close(self) -> None:
        """Say no more."""
        await self._tasks.close()

    async def _tell(self, channel: str, text: bytes) -> None:
        loop, tries, unheard, trouble = asyncio.get_running_loop(), 0, 0, False
        until = loop.time() + MAX_DELAY_SECONDS
        while loop.time() < until and unheard < UNHEARD:
            try:
                heard = bool(await self._redis.publish(channel, text))
                unheard += not heard
                if heard and not trouble:
                    return
                trouble = not heard  # behind trouble once more: others may still be coming back
            except (RedisError, OSError) as error:
                self._throttled_log.warning("a status is not told", error)
                trouble = True
            await asyncio.sleep(delay(RETRY_SECONDS, tries))
            tries += 1


def said(room_id: str, user_id: str, data: dict[str, Any]) -> tuple[str, bytes]:
    """The channel and what is published there."""
    text = ephemeral(KIND, data, room_id)
    message = {"kind": "event", "namespace": "/chat", "type": KIND, "text": text}
    return keys.user_channel(user_id), orjson.dumps(message)


def of(entry: Entry) -> tuple[str, bytes] | None:
    """The same of an outbox entry whose origin is gone; None where it is no user's message."""
    if entry.queue != MESSAGES or '"type":"message.new"' not in entry.body:
        return None
    try:
        message = orjson.loads(entry.body)["event"]["data"]["message"]
        if message["type"] == "system":
            return None
        named = {name: message[name] for name in ("message_id", "client_msg_id")}
        return said(entry.room_id, message["sender_id"], named | {"status": "queued"})
    except (ValueError, KeyError, TypeError):
        return None
