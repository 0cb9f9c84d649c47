"""Comparison of a room in Redis with the archive, and its repair."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import count
from typing import Any
from weakref import WeakValueDictionary

import boto3
import pytest

from rts_server.admin.verify import Comparison, Findings, HotRoom, MessageCopy, state_record
from rts_server.persistence import records, stored_items
from rts_server.persistence.records import MESSAGE_KINDS, parse
from rts_server.persistence.stored_items import StoredMessage
from tests.helpers.deployed import Deployed

PAGE = 50


def message(message_id: str, seq: int, **more: Any) -> MessageCopy:
    """A message in its first state."""
    body: Any = {"text": message_id, "version": 1, "seq": seq, "epoch": 1, "created_at": "x"}
    return MessageCopy(message_id, seq, body | more)


def hot(*messages: MessageCopy) -> dict[str, MessageCopy]:
    """The copies in Redis, by message id."""
    return {one.message_id: one for one in messages}


NO_BODY: Any = {}
FAILED_ONE = MessageCopy("one", 1, NO_BODY, failed=True)
FAILED_TWO = MessageCopy("two", 2, NO_BODY, failed=True)
ONE, TWO, THREE = message("one", 1), message("two", 2), message("three", 3)


@pytest.mark.parametrize(
    ("in_redis", "stored", "top", "found"),
    [
        ([], [], 0, Findings()),
        ([TWO], [ONE, TWO], 2, Findings()),
        ([message("two", 2, epoch=2, created_at="y")], [ONE, TWO], 2, Findings()),
        ([TWO], [ONE, message("two", 2, version=2)], 2, Findings()),
        ([TWO], [ONE, message("two", 2, version=2, deleted_at="x")], 2, Findings()),
        (
            [MessageCopy("two", 2, NO_BODY, failed=True)],
            [ONE, MessageCopy("two", 2, NO_BODY, failed=True)],
            2,
            Findings(),
        ),
        ([], [ONE, THREE], 3, Findings(gaps=[2])),
        ([], [ONE, message("other", 1)], 1, Findings(duplicates=[1])),
        ([ONE, TWO], [ONE], 2, Findings(orphans=["two"])),
        ([], [ONE, TWO], 1, Findings(orphans=["two"])),
        ([message("one", 1, text="x")], [ONE], 1, Findings(changed=["one"])),
        ([message("one", 1, version=2)], [ONE], 1, Findings(changed=["one"])),
        ([message("one", 1, deleted_at="x")], [ONE], 1, Findings(changed=["one"])),
        ([FAILED_ONE], [ONE], 1, Findings(changed=["one"])),
    ],
)
def test_differences_between_redis_and_the_archive_are_found(
    in_redis: list[MessageCopy], stored: list[MessageCopy], top: int, found: Findings
) -> None:
    """Each difference is a finding, except those that later records or a retry explain."""
    comparison = Comparison(hot(*in_redis), top)
    for one in stored:
        comparison.add(one)
    assert comparison.findings() == found


def listed(number: int, size: int, room_id: str) -> list[dict[str, Any]]:
    """A page of items of a room: each message, and its reactions beside it."""
    kept = [f"m{number:03}-{n:03}" for n in range(size)]
    body = {"body": '{"version": 1}', "body_key": records.body_key(1, 1, 1), "seq": 1}
    return [
        item
        for message_id in kept
        for item in (
            records.message_key(room_id, message_id) | body,
            records.reactions_key(room_id, message_id),
        )
    ]


@pytest.mark.parametrize("pages", [2, 40])
async def test_a_verification_holds_a_page_at_a_time(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch, pages: int
) -> None:
    """However many the room has; a byte for each is kept to find gaps and duplicates."""
    alive: WeakValueDictionary[int, StoredMessage] = WeakValueDictionary()
    most, room_id, ids = 0, "nowhere", count()
    read = stored_items._message

    def counted(*given: Any) -> Any:
        nonlocal most
        made = read(*given)
        alive[next(ids)] = made
        most = max(most, len(alive))
        return made

    def page(*_: Any, room_id: str, after: Any) -> tuple[list[Any], Any]:
        number = after or 0
        items = listed(number, PAGE, room_id)
        # Pages end between a message and its reactions.
        items = items[1 if number else 0 :] + listed(number + 1, 1, room_id)[:1]
        return items, number + 1 if number + 1 < pages else None

    monkeypatch.setattr(stored_items, "_message", counted)
    monkeypatch.setattr(deployed.services.verifier, "_page", page)
    found = await deployed.services.verifier.verify(room_id, repair=False)
    assert found.messages == PAGE * pages + 1
    assert most <= 2 * PAGE + 2


def items_of(table: Any, room_id: str) -> dict[str, Any]:
    """The items of a room by message, but for those of reactions."""
    found = (item for item in table.scan()["Items"] if item["room_id"] == room_id)
    return {item["message_id"]: item for item in found if "body" in item}


async def test_a_repair_stores_missing_and_differing_messages(deployed: Deployed) -> None:
    """A missing message, another body and an old state are found, and right after the repair."""
    room_id = await deployed.group("alice", "bob")
    sent = [await deployed.send(room_id, "alice", f"m{n}", f"text {n}") for n in range(5)]
    gone, other, old, deleted = (done.request_id for done in sent[:4])
    await deployed.services.messages.edit(room_id, "alice", old, {"text": "edited"})
    await deployed.services.messages.delete(room_id, "alice", deleted)
    await deployed.store()
    verifier = deployed.services.verifier
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
        found = await verifier.verify(room_id, repair=False)
        assert found.findings.orphans == [gone]
        assert found.findings.changed == sorted([other, old, deleted])
        assert found.repaired == []
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
def test_the_repair_of_a_tombstone_erases_its_files(known: str) -> None:
    """The record of the deletion, which names them, may be the one that was lost."""
    whole = message("one", 1, attachments=[{"attachment_id": "a2"}, {"attachment_id": "a1"}])
    tombstone, stored = message("one", 1, deleted_at="x", attachments=[]), None
    if known == "by the archive":
        stored = whole
    else:
        event = json.dumps({"data": {"message": whole.message}})
        tombstone = replace(tombstone, event=event)
    record = json.loads(state_record("room", HotRoom(1, 9, 1, {}), tombstone, stored))
    assert (record["event"]["type"], record["erases"]) == ("message.deleted", ["a1", "a2"])
    edited = json.loads(state_record("room", HotRoom(1, 9, 1, {}), whole, whole))
    assert (edited["event"]["type"], "erases" in edited) == ("message.updated", False)
    more = {"message_id": "one", "room_id": "room", "sender_id": "alice", "type": "text"}
    parse(json.dumps(record | {"message": record["message"] | more}), MESSAGE_KINDS)


async def test_a_message_that_neither_side_has_is_a_gap(deployed: Deployed) -> None:
    """It cannot be repaired; of a room that is not warm, the archive says how many there were."""
    room_id = await deployed.group("alice", "bob")
    sent = [await deployed.send(room_id, "alice", f"m{n}") for n in range(3)]
    await deployed.store()
    await deployed.redis.flushall()
    table = boto3.resource("dynamodb").Table("chat-messages")
    table.delete_item(Key={"room_id": room_id, "message_id": sent[1].request_id})
    async with deployed.relaying():
        found = await deployed.services.verifier.verify(room_id, repair=True)
    assert (found.findings, found.warm, found.messages) == (Findings(gaps=[2]), False, 2)
