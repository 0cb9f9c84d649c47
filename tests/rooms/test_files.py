"""Messages with files in the room log: what they are, and what goes with them."""

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


def told() -> list[dict[str, Any]]:
    """What the room queue was told of files, without the room."""
    return [{name: one[name] for name in ("keep", "erase")} for one in forwarded()]


def test_what_makes_a_message_another() -> None:
    """Other files are another body, other details of one are not; text alone is as ever."""
    digest = message_new("r", "alice", DRAFT, FILES).hash
    bare: Any = [{"attachment_id": one} for one in IDS]
    assert message_new("r", "alice", DRAFT, bare).hash == digest
    assert message_new("r", "alice", DRAFT, FILES[:1]).hash != digest
    plain: MessageDraft = {"client_msg_id": "m", "text": "hi"}
    before = orjson.dumps(["hi", [], {}, None]).decode()
    assert message_new("r", "alice", plain).hash == keys.body_hash(before)


async def test_an_erasure_that_redis_lost_is_made_again(deployed: Deployed) -> None:
    """The ids of the files are told with the tombstone, also when it has to be built anew."""
    room_id = await deployed.group("alice")
    sent = await deployed.parts.messages.send(room_id, "alice", DRAFT, FILES)
    await deployed.store()
    assert await end(sent) == "queued"
    assert told() == [{"keep": ["a1", "a2"], "erase": []}]
    message, done = await deployed.parts.messages.delete(room_id, "alice", sent.request_id)
    assert message["attachments"] == []
    await deployed.redis.flushall()
    async with deployed.relaying():
        assert await end(done) == "queued"
    assert told() == ERASED
    _, again = await deployed.parts.messages.delete(room_id, "alice", sent.request_id)
    assert await end(again) == "queued"
    assert told() == []


async def test_a_message_erased_with_its_files_keeps_its_first_result(deployed: Deployed) -> None:
    """Sent again when the files are gone: as the archive has it, and nothing is appended."""
    room_id = await deployed.group("alice")
    sent = await deployed.parts.messages.send(room_id, "alice", DRAFT, FILES)
    with pytest.raises(errors.InvalidParam):
        await deployed.parts.messages.first_result(room_id, "alice", DRAFT, IDS)
    await deployed.store()
    await deployed.parts.messages.delete(room_id, "alice", sent.request_id)
    await deployed.store()
    again = await deployed.parts.messages.first_result(room_id, "alice", DRAFT, IDS)
    assert again.result is not None
    assert sent.result is not None
    assert (again.result.seq, again.result.duplicate) == (sent.result.seq, True)
    assert await end(again) == "queued"
    assert await deployed.outbox() == []
    other: MessageDraft = {"client_msg_id": "m", "text": "other"}
    with pytest.raises(errors.Conflict):
        await deployed.parts.messages.first_result(room_id, "alice", other, IDS)


async def test_the_list_of_rooms_names_the_file(deployed: Deployed) -> None:
    """Without a text the first file's name is the preview, warm and cold alike."""
    room_id = await deployed.group("alice")
    await deployed.parts.messages.send(room_id, "alice", DRAFT, FILES)
    await deployed.store()
    for cold in (False, True):
        if cold:
            await deployed.redis.flushall()
        async with deployed.relaying():
            (row,) = (await deployed.parts.inboxes.read_rooms("alice", [room_id])).rows
        last = row.room["last_message"]
        assert (last["type"], last["preview"]) == ("file", "a1.png")
