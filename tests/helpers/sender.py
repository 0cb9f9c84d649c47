"""A client that follows the protocol: it resends messages without an ack, and keeps all acks."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any, Protocol

from tests.helpers.js_client import JsClient
from tests.helpers.waiting import NO_ACK, PATIENCE


class Sender:
    """Sends messages of one user to one room. `acked`: the final acks by client_msg_id."""

    def __init__(self, client: JsClient, room_id: str) -> None:
        self.client = client
        self.room_id = room_id
        self.acked: dict[str, dict[str, Any]] = {}

    async def send(self, text: str, patience: float = PATIENCE) -> dict[str, Any]:
        """Send until there is a final ack; return its data. Asserts that it is ok."""
        message = {"room_id": self.room_id, "client_msg_id": secrets.token_hex(8), "text": text}
        async with asyncio.timeout(patience):
            while True:
                try:
                    answer = await self.client.emit("message.send", message, timeout=NO_ACK)
                except TimeoutError:
                    continue
                if answer["ok"]:
                    self.acked[message["client_msg_id"]] = answer["data"]
                    data: dict[str, Any] = answer["data"]
                    return data
                assert answer["error"]["retryable"], answer
                await asyncio.sleep(0.2)

    async def history(self) -> list[dict[str, Any]]:
        """Return the whole history, ascending."""
        messages: list[dict[str, Any]] = []
        after = 0
        while True:
            page = {"room_id": self.room_id, "after_seq": after, "limit": 100}
            answer = await self.client.emit("message.list", page)
            assert answer["ok"], answer
            messages += answer["data"]["messages"]
            if not answer["data"]["has_more"]:
                return messages
            after = messages[-1]["seq"]


class HasEvents(Protocol):
    """Anything that has received events."""

    @property
    def events(self) -> list[dict[str, Any]]: ...


def positions_are_unique(*clients: HasEvents) -> None:
    """Assert that no (room, epoch, offset) was issued to two events (D6)."""
    seen: dict[tuple[str, int, int], str] = {}
    for client in clients:
        for event in client.events:
            if "offset" not in event:
                continue
            key = (event["room_id"], event["epoch"], event["offset"])
            what = f"{event['type']} {event['data'].get('message', {}).get('message_id')}"
            assert seen.setdefault(key, what) == what, key


def order_is_kept(client: JsClient, room_id: str) -> None:
    """Assert that the events of a room arrived in the order of their positions (D3)."""
    positions = [
        (e["epoch"], e["offset"])
        for e in client.events
        if e.get("room_id") == room_id and "offset" in e
    ]
    assert positions == sorted(set(positions))


async def agrees(sender: Sender, items: list[dict[str, Any]]) -> None:
    """Assert that history and table have each acked message once, at the same position (D1)."""
    history = await sender.history()
    ids = [message["client_msg_id"] for message in history]
    assert len(ids) == len(set(ids))
    assert set(sender.acked) <= set(ids)
    shown = [(m["epoch"], m["seq"], m["message_id"]) for m in history]
    assert shown == sorted(shown)
    kept = [(int(i["epoch"]), int(i["seq"]), i["message_id"]) for i in items if "position" in i]
    assert kept == shown
