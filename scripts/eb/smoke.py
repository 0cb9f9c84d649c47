"""Smoke test over Socket.IO: connect, create a room, send a message, receive it."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import socketio
from socketio.exceptions import SocketIOError

from scripts.eb.calls import DeploymentFailed

PEER = "smoke-test"
"""The other member of the direct room; this user never connects."""
STEP_TIMEOUT_SECONDS = 10.0
TEST_TIMEOUT_SECONDS = 30.0


def run_smoke_test(url: str, token: str, host: str | None = None) -> None:
    """Raises DeploymentFailed with the step that failed.

    `host` is the name to verify the certificate against, if it is not that of the URL.
    """
    try:
        asyncio.run(asyncio.wait_for(_send_and_receive(url, token, host), TEST_TIMEOUT_SECONDS))
    except (SocketIOError, OSError, TimeoutError) as error:
        reason = f"{type(error).__name__} {error}"
        raise DeploymentFailed(f"{url} does not serve: {reason}") from None


async def _send_and_receive(url: str, token: str, host: str | None) -> None:
    websocket_options = {"server_hostname": host} if host else {}
    client = socketio.AsyncClient(reconnection=False, websocket_extra_options=websocket_options)
    received: asyncio.Queue[str] = asyncio.Queue()
    client.on(
        "message.new", lambda event: received.put_nowait(_message_id(event)), namespace="/chat"
    )
    try:
        await client.connect(
            url, auth={"token": token}, namespaces=["/chat"], transports=["websocket"]
        )
        created = await _execute(client, "room.create", {"type": "direct", "members": [PEER]})
        room_id = created["room"]["room_id"]
        message = {"room_id": room_id, "client_msg_id": secrets.token_hex(8), "text": "smoke test"}
        sent = await _execute(client, "message.send", message)
        async with asyncio.timeout(STEP_TIMEOUT_SECONDS):
            while await received.get() != sent["message_id"]:
                pass
    finally:
        await client.disconnect()


async def _execute(client: socketio.AsyncClient, command: str, payload: dict[str, Any]) -> Any:
    """Return the data of the ack. Raises DeploymentFailed for an error."""
    ack = await client.call(command, payload, namespace="/chat", timeout=STEP_TIMEOUT_SECONDS)
    if not ack["ok"]:
        raise DeploymentFailed(f"{command} is refused: {ack['error']['code']}.")
    return ack["data"]


def _message_id(event: dict[str, Any]) -> str:
    return str(event["data"]["message"]["message_id"])
