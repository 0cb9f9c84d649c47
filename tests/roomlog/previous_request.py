"""The request of append.lua as the release in `previous_release/` sends it: one JSON text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
from redis.asyncio import Redis

from rts_server import keys
from rts_server.config import Settings, ms
from rts_server.persistence.scripts import Script, ScriptCall
from rts_server.roomlog import append_call
from rts_server.roomlog.request import AppendRequest
from tests.helpers.bench import FAR

HERE = Path(__file__).with_name("previous_release")


def previous_script(*names: str) -> Script:
    """Return a script of a room, of the release before."""
    return Script(*(HERE / f"{name}.lua" for name in ("identity", "fence", *names)))


class PreviousInstall:
    """Its install.lua, called with a room as this release sends it; it has two times to live."""

    def __init__(self) -> None:
        self._script = previous_script("ids", "install")

    async def evaluate(self, redis: Redis, names: Sequence[str], args: Sequence[str]) -> Any:
        """Install the room. Returns the reply."""
        room = orjson.loads(args[0])
        room |= {"log_ttl": room["ttl"], "head_ttl": room["ttl"]}
        return await self._script.evaluate(redis, names, [orjson.dumps(room).decode()])


def previous_call(request: AppendRequest, settings: Settings, nonce: str = "nonce") -> ScriptCall:
    """Return keys and arguments of its append.lua."""
    room = keys.room(request.room_id)
    body: dict[str, Any] = {
        "room_id": request.room_id,
        "channel": keys.room_channel(request.room_id),
        "request_id": request.request_id,
        "hash": request.hash,
        "actor": request.actor,
        "origin": "origin",
        "nonce": nonce,
        "deadline": FAR,
        "claim_ttl": ms(settings.claim_ttl),
        "outbox_cap": settings.outbox_cap,
        "member_limit": settings.limits.group_members,
        "log_floor": ms(settings.hot_log_floor),
        "log_events": settings.hot_log_events,
        "log_ttl": ms(settings.room_ttl),
        "head_ttl": ms(settings.room_ttl),
        "idem_ttl": ms(settings.idempotency_ttl),
        "must_not_exist": request.must_not_exist,
        "group_only": request.group_only,
        "check_archive": False,
        "events": [_event(event, request.room_id) for event in request.events],
    }
    if request.roles is not None:
        body["roles"] = dict.fromkeys(request.roles, True)
    if members := append_call._members(request):
        body["members"] = [_with_segments(member) for member in members]
    for name in append_call._FIELDS:
        if value := getattr(request, name):
            body[name] = value
    failed = [room.idem(request.fails)] if request.fails else []
    names = [*room.script_keys, room.idem(request.request_id), *failed]
    return names, [orjson.dumps(body).decode()]


def _event(event: Any, room_id: str) -> dict[str, Any]:
    body = _with_segments(append_call._event(event, room_id))
    record = orjson.loads(f"{body.pop('record')}0}}")
    del record["event"]
    body["v"] = record.pop("v")
    body["extra"] = orjson.dumps(record).decode()[1:-1] + "," if record else ""
    if body.get("changes"):
        body["changes"] = _with_segments(body["changes"])
    return body


def _with_segments(body: Any) -> dict[str, Any]:
    """Templates as lists of literals and numbers of slots; `text` was named `segments`."""
    found = {"segments" if name == "text" else name: value for name, value in body.items()}
    for name in ("segments", "stored", "last", "room"):
        if found.get(name):
            found[name] = _segments(found[name])
    return found


def _segments(template: str) -> list[str | int]:
    first, *rest = template.split("\x01")
    cut: list[str | int] = [first]
    for piece in rest:
        cut += [int(piece[0]), piece[1:]]
    return cut
