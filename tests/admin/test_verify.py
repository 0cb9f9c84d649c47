"""Redis held against the archive: what is told, and what can be mended."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import boto3
import pytest

from rts_server.admin.verify import Findings, Hot, Seen, compare, stated
from rts_server.persistence.records import MESSAGE_KINDS, parse
from tests.helpers.deployed import Deployed


def message(message_id: str, seq: int, **more: Any) -> Seen:
    """A message in its first state."""
    body = {"text": message_id, "version": 1, "seq": seq, "epoch": 1, "created_at": "x"}
    return Seen(message_id, seq, body | more)


def hot(*messages: Seen) -> dict[str, Seen]:
    """What Redis has."""
    return {one.message_id: one for one in messages}


ONE, TWO, THREE = message("one", 1), message("two", 2), message("three", 3)


@pytest.mark.parametrize(
    ("in_redis", "stored", "top", "found"),
    [
        ([], [], 0, Findings()),
        ([TWO], [ONE, TWO], 2, Findings()),
        ([message("two", 2, epoch=2, created_at="y")], [ONE, TWO], 2, Findings()),
        ([TWO], [ONE, message("two", 2, version=2)], 2, Findings()),
        ([TWO], [ONE, message("two", 2, version=2, deleted_at="x")], 2, Findings()),
        ([Seen("two", 2, {}, failed=True)], [ONE, Seen("two", 2, {}, failed=True)], 2, Findings()),
        ([], [ONE, THREE], 3, Findings(gaps=[2])),
        ([], [ONE, message("other", 1)], 1, Findings(duplicates=[1])),
        ([ONE, TWO], [ONE], 2, Findings(orphans=["two"])),
        ([], [ONE, TWO], 1, Findings(orphans=["two"])),
        ([message("one", 1, text="x")], [ONE], 1, Findings(changed=["one"])),
        ([message("one", 1, version=2)], [ONE], 1, Findings(changed=["one"])),
        ([message("one", 1, deleted_at="x")], [ONE], 1, Findings(changed=["one"])),
        ([Seen("one", 1, {}, failed=True)], [ONE], 1, Findings(changed=["one"])),
    ],
)
def test_what_is_found(in_redis: list[Seen], stored: list[Seen], top: int, found: Findings) -> None:
    """Each way in which both can differ, and those in which they may."""
    assert compare(hot(*in_redis), stored, top) == found


def items_of(table: Any, room_id: str) -> dict[str, Any]:
    """The items of a room by message."""
    return {i["message_id"]: i for i in table.scan()["Items"] if i["room_id"] == room_id}


async def test_what_the_archive_lost_is_mended(deployed: Deployed) -> None:
    """A message that is gone, one with another body, one with an old state: found, then whole."""
    room_id = await deployed.group("alice", "bob")
    sent = [await deployed.send(room_id, "alice", f"m{n}", f"text {n}") for n in range(5)]
    gone, other, old, deleted = (done.request_id for done in sent[:4])
    await deployed.parts.messages.edit(room_id, "alice", old, {"text": "edited"})
    await deployed.parts.messages.delete(room_id, "alice", deleted)
    await deployed.store()
    verifier = deployed.parts.verifier
    async with deployed.relaying():
        whole = await verifier.verify(room_id, repair=True)
        assert (whole.findings, whole.messages, whole.repaired) == (Findings(), 5, [])
        table = boto3.resource("dynamodb").Table("chat-messages")
        kept = items_of(table, room_id)
        table.delete_item(Key={"room_id": room_id, "message_id": gone})
        for message_id in (other, old, deleted):
            body = json.loads(str(kept[message_id]["body"])) | {"text": "tampered"}
            body.pop("deleted_at", None)
            body["version"] = 1
            table.put_item(Item=kept[message_id] | {"body": json.dumps(body)})
        told = await verifier.verify(room_id, repair=False)
        assert told.findings.orphans == [gone]
        assert told.findings.changed == sorted([other, old, deleted])
        assert told.repaired == []
        mended = await verifier.verify(room_id, repair=True)
        assert set(mended.repaired) == {gone, other, old, deleted}
        assert (await verifier.verify(room_id, repair=False)).findings == Findings()
        again = await deployed.send(room_id, "alice", "m0", "text 0")
        assert again.result is not None
        assert again.result.duplicate
    items = items_of(table, room_id)
    for message_id, before in kept.items():
        assert json.loads(str(items[message_id]["body"])) == json.loads(str(before["body"]))
        assert items[message_id]["position"] == before["position"]
        assert items[message_id]["hash"] == before["hash"]


@pytest.mark.parametrize("known", ["by the archive", "by the log"])
def test_a_tombstone_that_is_mended_takes_the_files_with_it(known: str) -> None:
    """Also where the deletion's own record, which names them, is what was lost."""
    whole = message("one", 1, attachments=[{"attachment_id": "a2"}, {"attachment_id": "a1"}])
    tombstone, stored = message("one", 1, deleted_at="x", attachments=[]), None
    if known == "by the archive":
        stored = whole
    else:
        event = json.dumps({"data": {"message": whole.message}})
        tombstone = replace(tombstone, event=event)
    record = json.loads(stated("room", Hot(1, 9, 1, {}), tombstone, stored))
    assert (record["event"]["type"], record["erases"]) == ("message.deleted", ["a1", "a2"])
    edited = json.loads(stated("room", Hot(1, 9, 1, {}), whole, whole))
    assert (edited["event"]["type"], "erases" in edited) == ("message.updated", False)
    more = {"message_id": "one", "room_id": "room", "sender_id": "alice", "type": "text"}
    parse(json.dumps(record | {"message": record["message"] | more}), MESSAGE_KINDS)


async def test_a_gap_is_told(deployed: Deployed) -> None:
    """What neither side has cannot be mended; a room that is not warm is counted by the archive."""
    room_id = await deployed.group("alice", "bob")
    sent = [await deployed.send(room_id, "alice", f"m{n}") for n in range(3)]
    await deployed.store()
    await deployed.redis.flushall()
    table = boto3.resource("dynamodb").Table("chat-messages")
    table.delete_item(Key={"room_id": room_id, "message_id": sent[1].request_id})
    async with deployed.relaying():
        found = await deployed.parts.verifier.verify(room_id, repair=True)
    assert (found.findings, found.warm, found.messages) == (Findings(gaps=[2]), False, 2)
