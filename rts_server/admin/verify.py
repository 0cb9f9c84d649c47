"""Compares a room in Redis with the archive, message by message, and repairs the archive."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from redis.asyncio import Redis

from rts_server import errors, keys
from rts_server.config import Settings
from rts_server.persistence import records, stored_items
from rts_server.persistence.archive import Archive
from rts_server.persistence.stored_items import StoredMessage
from rts_server.redis_client.pipeline import CommandPipe
from rts_server.roomlog.barriers import Barriers, barrier_record
from rts_server.roomlog.drains import RoomDrains
from rts_server.roomlog.first_result import read_first_result
from rts_server.roomlog.script import room_script
from rts_server.types.objects import Message

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import QueryInputTypeDef

_VERIFY = room_script(Path(__file__).with_name("verify.lua"))
_REPAIR = room_script(Path(__file__).with_name("repair.lua"))

VERIFY_DRAIN_WAIT_SECONDS = 10.0
"""Seconds to wait for a barrier; while the queue is behind, the archive cannot be compared."""
PLACE_FIELDS = frozenset({"seq", "epoch", "created_at"})
"""Fields that a repeated send may change without being another message."""


@dataclass(frozen=True)
class MessageCopy:
    """A message as Redis or the archive has it.

    `failed`: it could never be stored. Of copies in Redis only: `offset` of the newest state, and
    `event`, the JSON of its `message.new`, if the hot log still has it.
    """

    message_id: str
    seq: int
    message: Message
    failed: bool = False
    offset: int = 0
    event: str = ""

    @property
    def version(self) -> int:
        """Higher is newer; a tombstone is higher than every version."""
        return 10**9 if "deleted_at" in self.message else int(self.message.get("version", 0))


@dataclass(frozen=True)
class Findings:
    """The differences between Redis and the archive; see `compare`."""

    gaps: list[int] = field(default_factory=list)
    duplicates: list[int] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)


class Comparison:
    """Compares the hot log with the archive, whose messages it is given one after the other.

    It keeps a byte per seq, and of the archive only the messages that differ. `top`: the highest
    seq allocated.
    """

    def __init__(self, hot: Mapping[str, MessageCopy], top: int) -> None:
        self._hot = hot
        self._top = top
        self._taken = bytearray(top + 1)
        self._beyond: Counter[int] = Counter()
        self._unstored = dict(hot)
        self._orphans: list[str] = []
        self.messages = 0
        self.differing: dict[str, MessageCopy] = {}

    def add(self, stored: MessageCopy) -> None:
        """Compare a message of the archive."""
        self.messages += 1
        self._take(stored.seq)
        if stored.seq > self._top:
            self._orphans.append(stored.message_id)
        one = self._unstored.pop(stored.message_id, None)
        if one is None:
            return
        if one.seq != stored.seq:
            self._take(one.seq)
        if not _same_state(one, stored):
            self.differing[one.message_id] = stored

    def findings(self) -> Findings:
        """Return the differences, once all of the archive was added.

        gaps: seqs that no message has on either side. duplicates: seqs that several messages have.
        orphans: ids of messages that the archive lacks, or that it has beyond `top`. changed: ids
        of messages of which the archive has another or an older state.
        """
        for one in self._unstored.values():
            self._take(one.seq)
        twice = [seq for seq, times in enumerate(self._taken) if times > 1]
        twice += [seq for seq, times in self._beyond.items() if times > 1]
        orphans = sorted([*self._orphans, *self._unstored])
        self._unstored = {}
        return Findings(
            gaps=[seq for seq in range(1, self._top + 1) if not self._taken[seq]],
            duplicates=sorted(twice),
            orphans=orphans,
            changed=sorted(self.differing),
        )

    def _take(self, seq: int) -> None:
        if seq > self._top:
            self._beyond[seq] += 1
        else:
            self._taken[seq] = min(2, self._taken[seq] + 1)


def _same_state(hot: MessageCopy, stored: MessageCopy) -> bool:
    """Return whether the archive has this state or a newer one, as Redis was read first."""
    if hot.failed or stored.failed:
        return hot.failed == stored.failed
    if stored.version != hot.version:
        return stored.version > hot.version
    return _body(hot.message) == _body(stored.message)


def _body(message: Message) -> dict[str, object]:
    return {name: value for name, value in message.items() if name not in PLACE_FIELDS}


@dataclass(frozen=True)
class HotRoom:
    """A warm room: its head (`top`: its seq), and the newest states of the messages in its log."""

    epoch: int
    offset: int
    top: int
    messages: dict[str, MessageCopy]


@dataclass(frozen=True)
class VerificationResult:
    """The differences as they were found, and the ids of messages repaired since.

    `messages`: how many the archive has. `warm`: False if there was no hot log to compare with.
    """

    findings: Findings
    messages: int
    warm: bool
    repaired: list[str]


class Verifier:
    """Compares rooms. Redis first, then the queue is drained, then the archive is read.

    In this order everything that Redis had must be in the archive.
    """

    def __init__(
        self, settings: Settings, redis: Redis | CommandPipe, archive: Archive, drains: RoomDrains
    ) -> None:
        self._table = settings.messages_table
        self._redis = redis
        self._archive = archive
        self._barriers = Barriers(archive)
        self._drains = drains

    async def close(self) -> None:
        """Stop waiting for barriers."""
        await self._barriers.close()

    async def verify(self, room_id: str, *, repair: bool) -> VerificationResult:
        """Compare a room; `repair`: store again what the archive lacks or has in another state.

        Raises Unavailable while the queue is behind.
        """
        hot = await self._hot(room_id)
        if hot is None:
            await self._drains.wait_settled(room_id)
        if hot is None:
            # Before the messages: what is stored meanwhile is an orphan then, not a gap.
            room = await self._archive.room(room_id)
            comparison = await self._compared(room_id, {}, room.seq if room else 0)
            return VerificationResult(comparison.findings(), comparison.messages, False, [])
        comparison = await self._compared(room_id, hot.messages, hot.top)
        findings = comparison.findings()
        lost = [one for one in findings.orphans if one in hot.messages]
        repaired = [*lost, *findings.changed] if repair else []
        if repaired:
            await self._repair(room_id, hot, repaired, comparison.differing)
        return VerificationResult(findings, comparison.messages, True, repaired)

    async def _hot(self, room_id: str) -> HotRoom | None:
        """The messages in Redis, once all of them are stored; None if the room is not warm."""
        nonce = secrets.token_hex(8)
        record = barrier_record(room_id, nonce)
        answer = await _VERIFY.evaluate(
            self._redis, keys.room(room_id).script_keys, [room_id, nonce, record]
        )
        if answer[0] != b"warm":
            return None
        await self._wait_for_barrier(room_id, nonce)
        _, epoch, offset, top, *rest = answer
        return HotRoom(epoch, offset, top, parse_hot_messages(rest))

    async def _wait_for_barrier(self, room_id: str, nonce: str) -> None:
        passed = self._barriers.passed(room_id, nonce)
        try:
            if not (await asyncio.wait([passed], timeout=VERIFY_DRAIN_WAIT_SECONDS))[0]:
                raise errors.Unavailable("The queue is behind.", retry_after_ms=5_000)
        finally:
            passed.cancel()

    async def _repair(
        self, room_id: str, hot: HotRoom, ids: list[str], stored: Mapping[str, MessageCopy]
    ) -> None:
        """Queue the records of these messages again; they are stored when this returns."""
        nonce, records = secrets.token_hex(8), []
        for message_id in ids:
            one = hot.messages[message_id]
            if message_id not in stored and one.event:
                first = await read_first_result(self._redis, room_id, message_id)
                records.append(sent_record(one, first.hash if first else None))
            if not one.failed:
                records.append(state_record(room_id, hot, one, stored.get(message_id)))
        args = [room_id, nonce, *records, barrier_record(room_id, nonce)]
        await _REPAIR.evaluate(self._redis, keys.room(room_id).script_keys, args)
        await self._wait_for_barrier(room_id, nonce)

    async def _compared(self, room_id: str, hot: Mapping[str, MessageCopy], top: int) -> Comparison:
        """Compare every message of the room in the archive, by consistent reads, in pages."""
        comparison = Comparison(hot, top)
        items: list[Any] = []
        after: Any = None
        while True:
            page = partial(self._page, room_id=room_id, after=after)
            found, after = await self._archive.run_with_client(page)
            items += found
            # The last message of a page may have its reactions on the next one.
            whole = len(items) - _is_half(items) if after else len(items)
            for one in stored_items.messages(items[:whole]).items():
                comparison.add(_stored_copy(*one))
            if not after:
                return comparison
            items = items[whole:]

    def _page(self, table: DynamoDBClient, room_id: str, after: Any) -> tuple[list[Any], Any]:
        query: QueryInputTypeDef = {
            "TableName": self._table,
            "KeyConditionExpression": "room_id = :room",
            "ExpressionAttributeValues": {":room": room_id},
            "ConsistentRead": True,
        }
        if after:
            query["ExclusiveStartKey"] = after
        answer = table.query(**query)
        return answer["Items"], answer.get("LastEvaluatedKey")


def _is_half(items: list[Any]) -> bool:
    """Whether the last item is a message: its reactions may follow."""
    return bool(items) and not items[-1]["message_id"].endswith(records.REACTIONS)


def _stored_copy(message_id: str, stored: StoredMessage) -> MessageCopy:
    return MessageCopy(message_id, stored.seq, stored.message, stored.failed)


def parse_hot_messages(answer: Sequence[bytes]) -> dict[str, MessageCopy]:
    """The newest state of each message in the reply of verify.lua."""
    hot: dict[str, MessageCopy] = {}
    for kind, text in zip(answer[::2], answer[1::2], strict=True):
        if kind == b"new":
            event = orjson.loads(text)
            message = event["data"]["message"]
            hot[message["message_id"]] = MessageCopy(
                message["message_id"],
                message["seq"],
                message,
                offset=event["offset"],
                event=text.decode(),
            )
            continue
        message_id, offset, state = orjson.loads(text)
        message = orjson.loads(state)
        known = hot.get(message_id)
        if known or "seq" in message:
            seq = known.seq if known else message["seq"]
            failed, event_ = bool(message.get("failed")), known.event if known else ""
            hot[message_id] = MessageCopy(message_id, seq, message, failed, offset, event_)
    return hot


def sent_record(one: MessageCopy, digest: str | None) -> str:
    """The record of the message's `message.new`; `digest`: the hash of its body, if known."""
    body_hash = {"hash": digest} if digest else {}
    return json.dumps({"v": 1, **body_hash, "event": json.loads(one.event)})


def state_record(
    room_id: str, hot: HotRoom, one: MessageCopy, stored: MessageCopy | None = None
) -> str:
    """A record of the message's newest state, at a later position than any record of that state.

    The record of a tombstone also names the attachments whose files are to be erased.
    """
    erases = known_attachment_ids(one, stored) - attachment_ids(one.message)
    erased = {"erases": sorted(erases)} if erases else {}
    kind = "message.deleted" if "deleted_at" in one.message else "message.updated"
    event = {
        "type": kind,
        "room_id": room_id,
        "epoch": hot.epoch,
        "offset": max(hot.offset, one.offset + 1),
        "data": {},
    }
    return json.dumps({"v": 1, **erased, "event": event, "message": one.message})


def known_attachment_ids(one: MessageCopy, stored: MessageCopy | None) -> set[str]:
    """Ids of the attachments the message ever had, as far as known: a tombstone has none."""
    sent = attachment_ids(json.loads(one.event)["data"]["message"]) if one.event else set()
    return sent | (attachment_ids(stored.message) if stored else set())


def attachment_ids(message: Message) -> set[str]:
    """Ids of the attachments of one state of a message."""
    return {attachment["attachment_id"] for attachment in message.get("attachments", ())}
