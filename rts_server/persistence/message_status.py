"""Publishes `message.status`: the durability of a message whose ack said `accepted`."""

from __future__ import annotations

import asyncio
import logging

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from rts_server.channels import Channels
from rts_server.domain.user_message import UserEvent
from rts_server.persistence.outbox import MESSAGES, Entry
from rts_server.protocol.event import ephemeral
from rts_server.redis_client.pipeline import CommandPipe, channels_of, publish_all
from rts_server.runtime.backoff import delay
from rts_server.runtime.tasks import Tasks
from rts_server.runtime.throttled_log import ThrottledLog
from rts_server.types.events import MessageStatusData

log = logging.getLogger(__name__)

EVENT_TYPE = "message.status"
STATUS_RETRY_SECONDS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3.0)
"""Seconds between two tries; the last one repeats."""
MAX_TRIES_WITHOUT_SUBSCRIBER = 10
"""After so many publishes that no instance received, the sender has no connection; a retry of the
message answers with its durability (D7)."""
MAX_REDIS_OUTAGE_SECONDS = 900.0
"""Seconds after which a status is given up because Redis is still away."""


class StatusPublisher:
    """Publishes statuses to the senders' devices on all instances. A repetition is harmless."""

    def __init__(self, redis: Redis | CommandPipe) -> None:
        self._redis = redis
        self._tasks = Tasks()
        self._publishing: set[asyncio.Task[None]] = set()
        self._throttled_log = ThrottledLog(log)

    def publish_soon(self, room_id: str, user_id: str, data: MessageStatusData) -> None:
        """Publish `message.status` until an instance receives it."""
        channel = channels_of(self._redis).user(user_id)
        task = self._tasks.keep(self._publish(channel, status_message(room_id, data)))
        self._publishing.add(task)
        task.add_done_callback(self._publishing.discard)

    async def settled(self) -> None:
        """Return when nothing is left to publish."""
        while self._publishing:
            await asyncio.wait(self._publishing)

    async def close(self) -> None:
        """Drop what is not published yet."""
        await self._tasks.close()

    async def _publish(self, channel: str, text: bytes) -> None:
        loop, tries, without_subscriber = asyncio.get_running_loop(), 0, 0
        repeat_once = False
        until = loop.time() + MAX_REDIS_OUTAGE_SECONDS
        while loop.time() < until and without_subscriber < MAX_TRIES_WITHOUT_SUBSCRIBER:
            try:
                (subscribers,) = await publish_all(self._redis, [(channel, text)])
                received = bool(subscribers)
                without_subscriber += not received
                if received and not repeat_once:
                    return
                # After a failed try, publish once more than necessary: instances that lost their
                # connection at the same time may still be reconnecting.
                repeat_once = not received
            except (RedisError, OSError) as error:
                self._throttled_log.warning("message status cannot be published", error)
                repeat_once = True
            await asyncio.sleep(delay(STATUS_RETRY_SECONDS, tries))
            tries += 1


def status_message(room_id: str, data: MessageStatusData) -> bytes:
    """Return the JSON that is published on the sender's channel."""
    text = ephemeral(EVENT_TYPE, data, room_id)
    message: UserEvent = {"kind": "event", "namespace": "/chat", "type": EVENT_TYPE, "text": text}
    return orjson.dumps(message)


def queued_status(entry: Entry, channels: Channels) -> tuple[str, bytes] | None:
    """Return the channel of the sender of an outbox entry, and its `queued` status.

    None if the entry is not a new message of a user.
    """
    if entry.queue != MESSAGES or '"type":"message.new"' not in entry.body:
        return None
    try:
        message = orjson.loads(entry.body)["event"]["data"]["message"]
        if message["type"] == "system":
            return None
        data: MessageStatusData = {
            "message_id": message["message_id"],
            "client_msg_id": message["client_msg_id"],
            "status": "queued",
        }
        return channels.user(message["sender_id"]), status_message(entry.room_id, data)
    except (ValueError, KeyError, TypeError):
        return None
