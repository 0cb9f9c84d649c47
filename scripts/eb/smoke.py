"""One user's life in short, over Socket.IO: connect, make a room, write, hear it."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import socketio
from socketio.exceptions import SocketIOError

from scripts.eb.calls import Failed

PEER = "smoke-test"
"""The other member of the room; nobody has to be there."""
PATIENCE = 10.0


def smoke(url: str, token: str, host: str | None = None) -> None:
    """Raises Failed with what did not work. `host`: the certificate's name, if not the URL's."""
    try:
        asyncio.run(asyncio.wait_for(_smoke(url, token, host), 3 * PATIENCE))
    except (SocketIOError, OSError, TimeoutError) as error:
        raise Failed(f"{url} does not serve: {type(error).__name__} {error}") from None


async def _smoke(url: str, token: str, host: str | None) -> None:
    named = {"server_hostname": host} if host else {}
    client = socketio.AsyncClient(reconnection=False, websocket_extra_options=named)
    heard: asyncio.Queue[str] = asyncio.Queue()
    client.on("message.new", lambda event: heard.put_nowait(_id_of(event)), namespace="/chat")
    try:
        await client.connect(
            url, auth={"token": token}, namespaces=["/chat"], transports=["websocket"]
        )
        made = await _ask(client, "room.create", {"type": "direct", "members": [PEER]})
        room_id = made["room"]["room_id"]
        message = {"room_id": room_id, "client_msg_id": secrets.token_hex(8), "text": "smoke test"}
        sent = await _ask(client, "message.send", message)
        async with asyncio.timeout(PATIENCE):
            while await heard.get() != sent["message_id"]:
                pass
    finally:
        await client.disconnect()


async def _ask(client: socketio.AsyncClient, command: str, payload: dict[str, Any]) -> Any:
    """The data of an ack. Raises Failed for a refusal."""
    answer = await client.call(command, payload, namespace="/chat", timeout=PATIENCE)
    if not answer["ok"]:
        raise Failed(f"{command} is refused: {answer['error']['code']}.")
    return answer["data"]


def _id_of(event: dict[str, Any]) -> str:
    return str(event["data"]["message"]["message_id"])
