"""Calls the scripts of the room log as the code does, and reads the keys of a room."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection

import rts_server
from rts_server import keys
from rts_server.auth import Identity
from rts_server.channels import ONE_SERVER, Channels
from rts_server.config import Settings
from rts_server.domain.position import Position
from rts_server.persistence.scripts import ScriptCall
from rts_server.persistence.stored_items import StoredMember, StoredRoom
from rts_server.redis_client.pipeline import channels_of
from rts_server.roomlog import rehydrate as cold
from rts_server.roomlog.append_call import append_call, instance_text
from rts_server.roomlog.message_events import message_failed, message_new
from rts_server.roomlog.request import AppendRequest
from rts_server.roomlog.room_events import room_created
from rts_server.roomlog.script import APPEND, RESULTS, room_script
from rts_server.roomlog.trims import TRIM, trim_call, trim_limits
from rts_server.rooms import rooms
from rts_server.types.events import MessageFailedData
from rts_server.views.snapshots import UNLIMITED_BYTES

PACKAGE = Path(rts_server.__file__).parent
FAR = 2**52
"""A deadline (ms) that never passes."""
SCRIPTS = {
    name: room_script(RESULTS, next(PACKAGE.rglob(f"{name}.lua")))
    for name in (
        "barrier",
        "changed",
        "events",
        "durability",
        "install",
        "join",
        "member_list",
        "page",
    )
}
HOT = ("members", "cursors", "log", "seqs", "changed", "uncounted")
TS = "2026-11-23T10:00:00.000Z"


def names(room_id: str) -> tuple[str, ...]:
    """Return KEYS 1-9 of every script of a room."""
    return keys.room(room_id).script_keys


def append(
    request: AppendRequest,
    settings: Settings,
    nonce: str = "nonce",
    deadline: int = FAR,
    *,
    asked: bool = True,
    origin: str = "origin",
    channels: Channels = ONE_SERVER,
) -> ScriptCall:
    """Return keys and arguments of append.lua. `asked`: the archive does not have the id."""
    return append_call(
        request,
        instance_text(settings, origin),
        nonce=nonce,
        deadline_ms=deadline,
        archive_checked=asked,
        channels=channels,
    )


def round_trips(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """Return a list that grows by one element for each write to a Redis connection."""
    trips: list[None] = []
    send = AbstractConnection.send_packed_command

    async def counted(self: AbstractConnection, *args: Any, **kwargs: Any) -> None:
        trips.append(None)
        await send(self, *args, **kwargs)

    monkeypatch.setattr(AbstractConnection, "send_packed_command", counted)
    return trips


def group(creator: str, *others: str, room: str = "g", **more: Any) -> AppendRequest:
    """Return a request that creates a group."""
    command: Any = {"type": "group", "client_room_id": room, "members": list(others), **more}
    made, joining = rooms.new_room(Identity(creator, 0), command)
    return room_created(made, creator, joining, f"create:{secrets.token_hex(8)}")


def message(room_id: str, sender: str, client_msg_id: str = "m", **more: Any) -> AppendRequest:
    """Return a request that sends a message without asking the archive."""
    draft: Any = {"client_msg_id": client_msg_id, "text": "hi", **more}
    return replace(message_new(room_id, sender, draft), check_archive=False)


def failed(room_id: str, message_id: str, seq: int) -> AppendRequest:
    """Return a request that reports a message as failed."""
    failure: MessageFailedData = {
        "message_id": message_id,
        "client_msg_id": "m",
        "seq": seq,
        "reason": "poison",
    }
    return message_failed(failure, room_id)


@dataclass
class Bench:
    """One Redis, and the replies of the scripts there."""

    redis: Redis
    settings: Settings = field(
        default_factory=lambda: Settings(jwt_secret="x", rate_limits="relaxed")
    )

    async def append(
        self,
        request: AppendRequest,
        *,
        deadline: int = FAR,
        asked: bool = True,
        nonce: str = "nonce",
    ) -> list[Any]:
        """Call append.lua; return its reply, with the outcome as text."""
        where = channels_of(self.redis)
        call = append(request, self.settings, nonce, deadline, asked=asked, channels=where)
        answer: list[Any] = await APPEND.evaluate(self.redis, *call)
        return [answer[0].decode(), *answer[1:]]

    async def outcome(self, request: AppendRequest, **more: Any) -> str:
        """Call append.lua; return the outcome."""
        return str((await self.append(request, **more))[0])

    async def evaluate(self, script: str, room_id: str, *args: str | int, more: str = "") -> Any:
        """Call another script of a room; return its reply."""
        every = [*names(room_id), more] if more else names(room_id)
        return await SCRIPTS[script].evaluate(self.redis, every, args)

    async def behind(self, room_id: str, epoch: int, offset: int, most: int = 100) -> list[Any]:
        """Return the reply of events.lua to an instance."""
        answer: list[Any] = await self.evaluate(
            "events", room_id, epoch, offset, most, UNLIMITED_BYTES, ""
        )
        return [answer[0].decode(), *answer[1:]]

    async def trim(self, room_id: str, stored: Position = (FAR, 0)) -> int:
        """Call trim.lua; return how many events it trimmed.

        `stored`: the last position that the archive has of messages; as it is, it has all.
        """
        call = trim_call(room_id, stored, trim_limits(self.settings))
        return int(await TRIM.evaluate(self.redis, *call))

    async def state(self, room_id: str) -> str:
        """Return `warm` or `cold`."""
        return str((await self.evaluate("join", room_id))[0].decode())

    async def open(self, request: AppendRequest) -> str:
        """Create the room of a request: claim, install, append."""
        room_id = request.room_id
        assert await self.outcome(request) == "cold"
        assert await self.install(room_id, mode="new", epoch=1) == "ok"
        assert await self.outcome(request) == "ok"
        return room_id

    async def group(self, creator: str, *others: str, room: str = "g", **more: Any) -> str:
        """Create a group; return its id."""
        return await self.open(group(creator, *others, room=room, **more))

    async def install(
        self,
        room_id: str,
        members: Sequence[str] = (),
        *,
        mode: str = "load",
        epoch: int = 2,
        nonce: str = "nonce",
        seq: int = 0,
        uncounted: Sequence[int] = (),
    ) -> str:
        """Call install.lua with a room as read from the archive; return its reply."""
        fields: Any = {"room_id": room_id, "type": "group", "name": "G", "created_at": TS}
        stored = StoredRoom(
            room_id,
            fields,
            epoch,
            [(epoch, seq)],
            seq,
        )
        read = [_member(room_id, user, seq) for user in members]
        loader = cold.RoomLoader(self.settings, "origin", self.redis, None)  # type: ignore[arg-type]
        answer = await loader._install(room_id, nonce, mode, stored, epoch, read, list(uncounted))
        return answer.decode()

    async def dump(self) -> dict[bytes, bytes | None]:
        """Return every key of this Redis, serialised by DUMP, but heads, whose order may change."""
        found: Any = sorted(await self.redis.keys("*"))
        dumped = {k: await self.redis.dump(k) for k in found if not k.endswith(b":wishes")}
        for name in found:
            if name.endswith(b":head") and await self.redis.type(name) == b"hash":
                head: Any = await self.redis.hgetall(name)
                dumped[name] = repr(sorted(head.items())).encode()
        return dumped

    async def events(self, room_id: str) -> list[dict[str, Any]]:
        """Return the hot log, oldest first."""
        entries: Any = await self.redis.xrange(keys.room(room_id).log)
        return [orjson.loads(fields[b"e"]) for _, fields in entries]

    async def outbox(self, room_id: str) -> list[dict[bytes, bytes]]:
        """Return the outbox entries of the room, oldest first."""
        entries: Any = await self.redis.xrange(keys.room(room_id).outbox)
        return [fields for _, fields in entries]

    async def head(self, room_id: str) -> dict[bytes, bytes]:
        """Return the room's head."""
        found: Any = await self.redis.hgetall(keys.room(room_id).head)
        return dict(found)


def _member(room_id: str, user_id: str, seq: int) -> StoredMember:
    return StoredMember(room_id, user_id, "in", "member", None, TS, seq, seq, seq, 1, 1)


async def relayed(bench: Bench, room_id: str) -> None:
    """Delete all outbox entries, as if the relay had sent them."""
    await bench.redis.delete(keys.room(room_id).outbox)
