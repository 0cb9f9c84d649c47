"""Messages with attachments in the room log."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from rts_server import errors, keys
from rts_server.domain.message import MessageDraft
from rts_server.roomlog.message_events import message_new
from tests.helpers.deployed import Deployed, end
from tests.helpers.lambda_batches import forwarded

FILES: list[Any] = [{"attachment_id": one, "name": f"{one}.png", "size": 5} for one in ("a1", "a2")]
DRAFT: MessageDraft = {"client_msg_id": "m", "text": ""}
IDS = [one["attachment_id"] for one in FILES]
ERASED = [{"keep": [], "erase": ["a1", "a2"]}]


def file_records() -> list[dict[str, Any]]:
    """The records of files in the room queue, without the room."""
    return [{name: one[name] for name in ("keep", "erase")} for one in forwarded()]


def test_the_hash_of_a_message_depends_on_the_ids_of_its_attachments() -> None:
    """Other attachments are another body, other details of one are not."""
    digest = message_new("r", "alice", DRAFT, FILES).hash
    bare: Any = [{"attachment_id": one} for one in IDS]
    assert message_new("r", "alice", DRAFT, bare).hash == digest
    assert message_new("r", "alice", DRAFT, FILES[:1]).hash != digest
    plain: MessageDraft = {"client_msg_id": "m", "text": "hi"}
    before = orjson.dumps(["hi", [], {}, None]).decode()
    assert message_new("r", "alice", plain).hash == keys.body_hash(before)


async def test_a_lost_deletion_erases_the_files_once_replayed(deployed: Deployed) -> None:
    """The record of the tombstone names the attachments, also when it was rebuilt."""
    room_id = await deployed.group("alice")
    sent = await deployed.services.messages.send(room_id, "alice", DRAFT, FILES)
    await deployed.store()
    assert await end(sent) == "queued"
    assert file_records() == [{"keep": ["a1", "a2"], "erase": []}]
    message, done = await deployed.services.messages.delete(room_id, "alice", sent.request_id)
    assert message["attachments"] == []
    await deployed.redis.flushall()
    async with deployed.relaying():
        assert await end(done) == "queued"
    assert file_records() == ERASED
    _, again = await deployed.services.messages.delete(room_id, "alice", sent.request_id)
    assert await end(again) == "queued"
    assert file_records() == []


async def test_a_message_erased_with_its_files_keeps_its_first_result(deployed: Deployed) -> None:
    """A retry after the files are gone gets the first result, and appends nothing (D7)."""
    room_id = await deployed.group("alice")
    sent = await deployed.services.messages.send(room_id, "alice", DRAFT, FILES)
    with pytest.raises(errors.InvalidParam):
        await deployed.services.messages.first_result(room_id, "alice", DRAFT, IDS)
    await deployed.store()
    await deployed.services.messages.delete(room_id, "alice", sent.request_id)
    await deployed.store()
    again = await deployed.services.messages.first_result(room_id, "alice", DRAFT, IDS)
    assert again.result is not None
    assert sent.result is not None
    assert (again.result.seq, again.result.duplicate) == (sent.result.seq, True)
    assert await end(again) == "queued"
    assert await deployed.outbox() == []
    other: MessageDraft = {"client_msg_id": "m", "text": "other"}
    with pytest.raises(errors.Conflict):
        await deployed.services.messages.first_result(room_id, "alice", other, IDS)


async def test_the_preview_of_a_message_without_text_is_the_first_file_name(
    deployed: Deployed,
) -> None:
    """It is the same warm and cold."""
    room_id = await deployed.group("alice")
    await deployed.services.messages.send(room_id, "alice", DRAFT, FILES)
    await deployed.store()
    for cold in (False, True):
        if cold:
            await deployed.redis.flushall()
        async with deployed.relaying():
            (row,) = (await deployed.services.inboxes.read_rooms("alice", [room_id])).rows
        last = row.room["last_message"]
        assert (last["type"], last["preview"]) == ("file", "a1.png")
