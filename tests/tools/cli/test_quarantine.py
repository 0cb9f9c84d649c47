"""Quarantined records are listed and replayed."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from rts_server.admin.replays import parsed
from rts_server.domain.message import MessageDraft
from rts_server.keys import external_room_id
from rts_server.persistence.queues import quarantine_archive
from rts_server.persistence.records import quarantine_entry
from rts_server.roomlog.message_events import message_new
from rts_server.services import Services
from rts_server.tools.cli.quarantine import quarantine
from rts_server.tools.cli.queues import queues
from rts_server.tools.cli.rooms import rooms
from rts_server.tools.dev import aws
from tests.helpers.commands import ok
from tests.helpers.operator import Operator, manifest
from tests.helpers.record_samples import added
from tests.helpers.waiting import PATIENCE, until
from tests.helpers.world import World, name, placed


@pytest.mark.parametrize(
    ("record", "kind", "is_message"),
    [
        ({"event": {"type": "member.added", "data": {}}}, "rooms", False),
        ({"settings": {}}, "rooms", False),
        ({"barrier": {}}, "messages", False),
        ({"event": {"type": "message.deleted", "data": {}}}, "messages", False),
        ({"event": {"type": "message.new", "data": {}}}, None, False),
        ({"event": {"type": "message.new", "data": {"message": {"text": "x"}}}}, None, False),
        ([], None, False),
    ],
)
def test_each_record_has_its_queue(record: Any, kind: str | None, is_message: bool) -> None:
    """A record goes to the queue of its kind; an incomplete message has none."""
    told, message = parsed(json.dumps(record))
    assert (told, message is not None) == (kind, is_message)


def stored(world: World, room_id: str, sk: str) -> bool:
    """Return whether an item of chat-rooms exists."""
    client = aws.client(world.stack.settings, "dynamodb")
    key: Any = {"room_id": {"S": room_id}, "sk": {"S": sk}}
    table = world.stack.settings.rooms_table
    return "Item" in client.get_item(TableName=table, Key=key, ConsistentRead=True)


async def test_quarantined_records_are_replayed(
    world: World, ops: Operator, tmp_path: Path
) -> None:
    """A failed message is listed without its text and sent again; a member's record is applied."""
    alice, bob, key = name("alice"), name("bob"), name("room")
    room_id = external_room_id(key)
    declared = [{"external_id": key, "members": [alice, bob]}]
    await ops.rows(rooms, "apply", manifest(tmp_path / "rooms.yaml", declared))
    async with world.js(bob) as b:
        await ok(b, "room.get", {"room_id": room_id})
        async with Services(world.stack.settings) as services:
            draft: MessageDraft = {
                "client_msg_id": "m1",
                "text": "well meant",
                "metadata": {"n": 1},
            }
            await services.appender.append(message_new(room_id, alice, draft, version=99))
        failed = await b.wait_for(lambda e: bool(e["type"] == "message.failed"))
        message_id = failed["data"]["message_id"]

        async def found() -> list[dict[str, Any]]:
            rows = await ops.rows(quarantine, "list")
            return [row for row in rows if row.get("room_id") == room_id]

        async with asyncio.timeout(PATIENCE):
            while not (rows := await found()):
                pass
        assert (rows[0]["kind"], rows[0]["message_id"]) == ("message.new", message_id)
        assert rows[0]["whole"]
        assert "well meant" not in str(rows)
        sqs = aws.client(world.stack.settings, "sqs")
        url = sqs.get_queue_url(
            QueueName=quarantine_archive(world.stack.settings.quarantine_queue)
        )["QueueUrl"]
        carol = name("carol")
        member = quarantine_entry(added(1, 50, carol, room_id=room_id), "a bad day")
        for body in (member, "no record at all"):
            sqs.send_message(QueueUrl=url, MessageBody=body)

        replayed = await ops.rows(quarantine, "replay", code=1)
        assert replayed[0]["left"] == 1
        again = await b.wait_for(
            lambda e: bool(e["type"] == "message.new" and e["data"]["message"]["seq"] == 2)
        )
        message = again["data"]["message"]
        assert (message["sender_id"], message["text"]) == (alice, "well meant")
        assert (message["metadata"], message["client_msg_id"]) == ({"n": 1}, f"replay-{message_id}")
    await asyncio.to_thread(until, lambda: placed(world, room_id) == 1)
    await asyncio.to_thread(until, lambda: stored(world, room_id, f"MEMBER#{carol}"))
    listed = {row["name"]: row for row in await ops.rows(queues, "list")}
    assert listed[quarantine_archive(world.stack.settings.quarantine_queue)]["in_flight"] == 1
    sqs.purge_queue(QueueUrl=url)
    assert await ops.rows(quarantine, "list") == []
