"""Steps with rooms for tests of several instances."""

from __future__ import annotations

import asyncio
import json
import secrets
from typing import Any

from tests.helpers.js_client import JsClient, Json
from tests.helpers.raw import Raw
from tests.helpers.waiting import PATIENCE


async def group(client: JsClient, members: list[str]) -> str:
    """Create a group; return its id."""
    asked = {
        "type": "group",
        "client_room_id": secrets.token_hex(8),
        "name": "G",
        "members": members,
    }
    answer = await client.emit("room.create", asked)
    assert answer["ok"], answer
    room_id: str = answer["data"]["room"]["room_id"]
    return room_id


async def send(client: JsClient, room_id: str, text: str) -> Any:
    """Send a message; return the ack, whatever it is."""
    message = {"room_id": room_id, "client_msg_id": secrets.token_hex(8), "text": text}
    return await client.emit("message.send", message)


async def burst(client: Raw, room_id: str, count: int, prefix: str = "m") -> None:
    """Send many messages without waiting in between; return when all are acked with ok.

    On a slow machine the last of them meet their deadline in the line: like any client this one
    sends again what was refused as retryable, and what it sent behind that, in the same order.
    """
    texts = [f"{prefix}{n}" for n in range(count)]
    while texts:
        start = len(client.acks)
        for at, text in enumerate(texts, start):
            message = {"room_id": room_id, "client_msg_id": text, "text": text}
            await client.send(f"42/chat,{at}" + json.dumps(["message.send", message]))
        await client.until(lambda: len(client.acks) == start + len(texts), 5 * PATIENCE)  # noqa: B023
        answers = [answer for at in range(start, start + len(texts)) for answer in client.acks[at]]
        refused = [at for at, answer in enumerate(answers) if not answer["ok"]]
        assert all(answers[at]["error"]["retryable"] for at in refused), answers
        texts = texts[refused[0] :] if refused else []


def durable(client: JsClient | Raw, room_id: str) -> list[Json]:
    """Return the durable events of a room that a client received."""
    return [e for e in client.events if e.get("room_id") == room_id and "offset" in e]


def positions(client: JsClient | Raw, room_id: str) -> list[tuple[int, int]]:
    """Return the positions of a room's events, in order of arrival."""
    return [(e["epoch"], e["offset"]) for e in durable(client, room_id)]


async def all_have(
    clients: list[JsClient], room_id: str, offset: int, timeout: float = PATIENCE
) -> None:
    """Wait until every client received the event of this offset."""
    await asyncio.gather(
        *(
            client.until(
                lambda c=client: any(p[1] == offset for p in positions(c, room_id)),  # type: ignore[misc]
                timeout,
            )
            for client in clients
        )
    )
