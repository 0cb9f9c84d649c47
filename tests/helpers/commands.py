"""Commands of clients and their acks."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.helpers.js_client import JsClient
from tests.helpers.waiting import PATIENCE


async def ok(client: JsClient, event: str, data: dict[str, Any]) -> Any:
    """The data of an ack that must be ok; repeats what is `unavailable`, as a client should."""
    async with asyncio.timeout(PATIENCE):
        while (answer := await client.emit(event, data)).get("error", {}).get("retryable"):
            assert answer["error"]["code"] == "unavailable", answer
            await asyncio.sleep(answer["error"].get("retry_after_ms", 100) / 1000)
    assert answer["ok"], answer
    return answer["data"]


async def refused(client: JsClient, event: str, data: dict[str, Any]) -> str:
    """The code of an ack that must be an error."""
    answer = await client.emit(event, data)
    assert not answer["ok"], answer
    return str(answer["error"]["code"])


async def direct(client: JsClient, other: str) -> str:
    """A direct room with somebody."""
    data = await ok(client, "room.create", {"type": "direct", "members": [other]})
    return str(data["room"]["room_id"])


async def heard(client: JsClient, text: str) -> None:
    """The client has got the message with this text."""
    await client.wait_for(
        lambda e: e["type"] == "message.new" and e["data"]["message"]["text"] == text
    )
