"""The work of a chat server on stock python-socketio: as its documentation has it, on uvloop.

python -m bench.peers.stock      with RTS_PORT, RTS_REDIS_URL, RTS_JWT_SECRET
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import jwt
import socketio
import uvloop
from aiohttp import web

SECRET = os.environ["RTS_JWT_SECRET"]

sio = socketio.AsyncServer(
    async_mode="aiohttp",
    transports=["websocket"],
    client_manager=socketio.AsyncRedisManager(os.environ["RTS_REDIS_URL"]),
)
users: dict[str, str] = {}
seqs: Counter[str] = Counter()


async def connect(sid: str, environ: dict[str, Any], auth: Any = None) -> None:
    """Check the token, join the rooms it names."""
    try:
        claims = jwt.decode(auth["token"], SECRET, algorithms=["HS256"])
    except (jwt.InvalidTokenError, TypeError, KeyError):
        raise socketio.exceptions.ConnectionRefusedError("unauthorized") from None
    users[sid] = claims["sub"]
    for room_id in claims["rooms"]:
        await sio.enter_room(sid, room_id, namespace="/chat")
    ready = {"type": "session.ready", "data": {"user_id": claims["sub"]}}
    await sio.emit("session.ready", ready, to=sid, namespace="/chat")


async def send(sid: str, payload: dict[str, Any]) -> dict[str, Any]:
    """Emit to the room, then ack."""
    event = message_new(payload["room_id"], users[sid], payload)
    await sio.emit("message.new", event, to=payload["room_id"], namespace="/chat")
    message = event["data"]["message"]
    names = ("message_id", "client_msg_id", "seq", "epoch", "created_at")
    data = {name: message[name] for name in names} | {"offset": event["offset"]}
    return {"ok": True, "data": data | {"status": "queued"}}


async def sync(sid: str, payload: dict[str, Any]) -> dict[str, Any]:
    """An ack without a room."""
    return {"ok": True, "data": {"rooms": {}}}


async def disconnect(sid: str, reason: str) -> None:
    """Forget the user."""
    users.pop(sid, None)


def message_new(room_id: str, sender_id: str, payload: dict[str, Any]) -> dict[str, Any]:
    """The event as our protocol has it."""
    seqs[room_id] += 1
    seq, ts = seqs[room_id], datetime.now(UTC).isoformat(timespec="milliseconds")
    client_msg_id = payload["client_msg_id"]
    message = {
        "message_id": hashlib.sha256((room_id + client_msg_id).encode()).hexdigest()[:26],
        "client_msg_id": client_msg_id,
        "room_id": room_id,
        "seq": seq,
        "epoch": 1,
        "sender_id": sender_id,
        "type": "text",
        "text": payload["text"],
        "attachments": [],
        "mentions": [],
        "reactions": {},
        "metadata": {},
        "version": 1,
        "created_at": ts,
    }
    at = {"epoch": 1, "offset": seq}
    head = {"type": "message.new", "ts": ts, "room_id": room_id, "actor_id": sender_id}
    return head | at | {"data": {"message": message}}


async def health(_: web.Request) -> web.Response:
    """Alive."""
    return web.Response(text="ok")


def main() -> None:
    """Serve until SIGTERM."""
    for name, handler in (
        ("connect", connect),
        ("disconnect", disconnect),
        ("message.send", send),
        ("sync", sync),
    ):
        sio.on(name, handler, namespace="/chat")
    app = web.Application()
    sio.attach(app)
    app.router.add_get("/health/live", health)
    port, loop = int(os.environ["RTS_PORT"]), uvloop.new_event_loop()
    web.run_app(app, host="127.0.0.1", port=port, print=None, access_log=None, loop=loop)


if __name__ == "__main__":
    main()
