"""Commands of clients and their acks."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.helpers.js_client import JsClient
from tests.helpers.waiting import PATIENCE


async def ok(client: JsClient, event: str, data: dict[str, Any]) -> Any:
    """Send a command; return its data. `unavailable` is repeated, as clients do; others fail."""
    async with asyncio.timeout(PATIENCE):
        while (answer := await client.emit(event, data)).get("error", {}).get("retryable"):
            assert answer["error"]["code"] == "unavailable", answer
            await asyncio.sleep(answer["error"].get("retry_after_ms", 100) / 1000)
    assert answer["ok"], answer
    return answer["data"]


async def refused(client: JsClient, event: str, data: dict[str, Any]) -> str:
    """Send a command that must be refused; return the code."""
    answer = await client.emit(event, data)
    assert not answer["ok"], answer
    return str(answer["error"]["code"])


async def direct(client: JsClient, other: str) -> str:
    """Create a direct room with another user; return its id."""
    data = await ok(client, "room.create", {"type": "direct", "members": [other]})
    return str(data["room"]["room_id"])


async def wait_for_text(client: JsClient, text: str) -> None:
    """Wait until the client received the message with this text."""
    await client.wait_for(
        lambda e: e["type"] == "message.new" and e["data"]["message"]["text"] == text
    )
