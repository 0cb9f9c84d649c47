"""Replays quarantined records once the Lambda functions can apply them."""

from __future__ import annotations

import asyncio
import json
import logging
import time

from rts_server import errors
from rts_server.config import Settings
from rts_server.domain.message import MessageDraft
from rts_server.relay.queue_admin import QuarantineEntry, QueueAdmin, QueueName
from rts_server.rooms.messages import Messages
from rts_server.types.objects import Message

log = logging.getLogger(__name__)

RECORDS_PER_RECEIVE = 10
"""Records received at once; SQS allows at most 10 (ReceiveMessage, MaxNumberOfMessages)."""
MAX_REPLAY_SECONDS = 20.0
"""A request ends after this time; the operator repeats it for the rest."""


class Replays:
    """Replays records; a message is sent anew, as its failure was published.

    Safe to repeat: the id of the new message follows from that of the first one (Q4).
    """

    def __init__(self, settings: Settings, queue_admin: QueueAdmin, messages: Messages) -> None:
        """`messages`: made with `system=True`, so that no role is checked."""
        self._durable_wait = settings.durable_wait
        self._queue_admin = queue_admin
        self._messages = messages

    async def quarantined(self, most: int) -> tuple[int, int]:
        """Replay up to `most` records, in the order of each room.

        Returns (how many were replayed, how many are left). Raises Unavailable.
        """
        done, until = 0, time.monotonic() + MAX_REPLAY_SECONDS
        while done < most and time.monotonic() < until:
            batch = await self._queue_admin.take_quarantined(min(RECORDS_PER_RECEIVE, most - done))
            if not batch:
                break
            for one in batch:
                if await self._replay(one):
                    await self._queue_admin.delete_quarantined(one)
                    done += 1
        return done, await self._queue_admin.quarantined_count()

    async def _replay(self, one: QuarantineEntry) -> bool:
        """Replay one record. Returns False, and leaves it, if it cannot be replayed."""
        room_id = one.position.get("room_id")
        kind, message = parsed(one.record)
        if room_id is None or kind is None:
            return False
        if message is None:
            await self._queue_admin.enqueue(kind, room_id, one.record)
            return True
        draft: MessageDraft = {
            "client_msg_id": f"replay-{message['message_id']}",
            "text": message.get("text") or "",
            "mentions": message.get("mentions") or [],
            "metadata": message.get("metadata") or {},
        }
        if reply_to := message.get("reply_to"):
            draft["reply_to"] = reply_to
        attachments = message.get("attachments")
        try:
            done = await self._messages.send(room_id, message["sender_id"], draft, attachments)
        except errors.Refusal as refusal:
            if refusal.retryable:
                raise
            log.warning(
                "quarantined message not replayed", extra={**one.position, "code": refusal.code}
            )
            return False
        await asyncio.wait([done.durability], timeout=self._durable_wait)
        return not (done.durability.done() and done.durability.result() == "failed")


def parsed(record: str) -> tuple[QueueName | None, Message | None]:
    """(its queue, its message if it is a `message.new`); (None, None) for invalid records."""
    try:
        raw = json.loads(record)
        event = raw.get("event", {})
        kind = str(event.get("type", ""))
        message = event["data"]["message"] if kind == "message.new" else None
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return None, None
    if message is not None and not {"message_id", "sender_id"} <= message.keys():
        return None, None
    return "messages" if kind.startswith("message.") or "barrier" in raw else "rooms", message
