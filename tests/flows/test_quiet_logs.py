"""Logs contain no text of users."""

from __future__ import annotations

from pathlib import Path

from tests.helpers.commands import direct, ok
from tests.helpers.file_samples import png
from tests.helpers.js_client import JsClient
from tests.helpers.rest import Rest
from tests.helpers.sender import Sender
from tests.helpers.upload_form import citing, uploaded
from tests.helpers.waiting import until
from tests.helpers.world import World, name, placed

CANARY = "a secret between two people"
SIGNATURE = "X-Amz-Signature"


async def test_no_text_and_no_token_in_any_log(world: World) -> None:
    """Neither texts, tokens, signed URLs nor the secret are in a log of any process."""
    alice, bob = name("alice"), name("bob")
    token = world.token(alice)
    async with world.js(alice) as a, world.raw(alice) as raw:
        sender = Sender(a, await direct(a, bob))
        await sender.send(CANARY)
        await raw.send(f'42/chat,1["message.send",{{"text":"{CANARY}"')
        await raw.ask(2, f'["message.send",{{"text":"{CANARY}","token":"{token}"}}]')
        until(lambda: placed(world, sender.room_id) == 1)
        attachment = await uploaded(a, sender.room_id, png())
        sent = await ok(a, "message.send", citing(sender.room_id, attachment))
        wanted = {"room_id": sender.room_id, "message_id": sent["message_id"]}
        link = await ok(a, "upload.url", wanted | {"attachment_id": attachment["attachment_id"]})
        assert SIGNATURE in link["url"]
    logs = written(world.data)
    assert len(logs) >= 4
    for log, text in logs.items():
        assert CANARY not in text, log
        assert token not in text, log
        assert SIGNATURE not in text, log
        assert world.stack.settings.jwt_secret not in text, log


async def test_an_internal_error_is_found_in_the_log_by_its_request_id(
    world: World, tmp_path: Path
) -> None:
    """The request id of `internal` finds the line with traceback, user and connection, without
    text."""
    async with (
        world.instance(tmp_path, "mistaken") as (process, url),
        JsClient() as a,
        Rest(url, world.token("ops", scope="operator")) as operator,
    ):
        alice = name("alice")
        await a.connect(url, world.token(alice))
        session = await a.wait_for(lambda e: bool(e["type"] == "session.ready"))
        sender = Sender(a, await direct(a, name("bob")))
        await sender.send(CANARY)
        error = (await a.emit("message.list", {"room_id": sender.room_id}))["error"]
        refused = await operator.ask("GET", f"/v1/rooms/{sender.room_id}/messages")
        (line,), (routed,) = process.log_lines("command failed"), process.log_lines("route failed")
        assert (error["code"], error["details"]) == ("internal", {"request_id": line["request_id"]})
        assert (line["user_id"], line["session_id"]) == (alice, session["data"]["session_id"])
        assert refused["error"]["details"] == {"request_id": routed["request_id"]}
        assert all("KeyError" in one["exception"] for one in (line, routed))
        assert CANARY not in process.log.read_text()


def written(folder: Path) -> dict[str, str]:
    """All logs of a world, by name."""
    files = [*folder.glob("*.log"), *folder.glob("logs/*.log")]
    return {file.name: file.read_text(errors="replace") for file in files}
