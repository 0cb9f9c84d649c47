"""The room log: one way in, and one answer to every append."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from datetime import datetime
from typing import Any, Literal, NoReturn

import orjson
from redis.exceptions import RedisError

from rts_server import errors
from rts_server.config import Settings
from rts_server.persistence.archive import Archive
from rts_server.persistence.scripts import Call
from rts_server.rooms import events
from rts_server.rooms.append import Append, Appended, Nothing
from rts_server.rooms.appender import Appender
from rts_server.rooms.cold import Loader
from rts_server.rooms.ids import Ids

_WAITS = {"loading": 0.02, "unknown": 0.05, "late": 0.05}
"""Seconds until the next try. A late call did not run, and its answer has set our clock right."""


class NoMember(errors.NotFound):
    """The user named is no member."""


_REFUSALS: dict[str, errors.Refusal] = {
    "conflict": errors.Conflict("This id was used for another body."),
    "not_found": errors.NotFound(),
    "forbidden": errors.Forbidden(),
    "frozen": errors.Forbidden("The room is frozen."),
    "direct": errors.Conflict("A direct room stays with its two members."),
    "no_member": NoMember(),
    "last_owner": errors.Conflict("A group keeps an owner."),
    "limit": errors.LimitExceeded("The room has as many members as it may have."),
    "full": errors.Unavailable("The queue is behind; repeat in a moment.", retry_after_ms=1000),
    "broken": errors.Unavailable(),
}


class Exists(Exception):
    """The room is there already; `is_member` tells whether the actor is in it."""

    def __init__(self, is_member: bool) -> None:
        super().__init__("the room exists")
        self.is_member = is_member


class Moved(Exception):
    """The message or the room changed since it was read: read it again."""


class Behind(Exception):
    """The room is in a later epoch, and something that was heard before may be lost."""

    def __init__(self, epoch: int) -> None:
        super().__init__("the room is in a later epoch")
        self.epoch = epoch


class RoomLog:
    """Appends. Guarantee: an answer within `redis_deadline` seconds, or Unavailable."""

    def __init__(
        self,
        settings: Settings,
        origin: str,
        appender: Appender,
        archive: Archive,
        loader: Loader,
        ids: Ids,
    ) -> None:
        self._settings = settings
        self._origin = origin
        self._appender = appender
        self._archive = archive
        self._loader = loader
        self._ids = ids

    async def append(self, request: Append, since: int = 0) -> Appended | Nothing:
        """What the log did, or that nothing was to do (all are members, or none is).

        Raises Refusal; Exists for a creation that met a room; Moved for a change of what is not
        the newest state any more; Behind in a later epoch than `since` (0: in none).
        """
        try:
            async with asyncio.timeout(self._settings.redis_deadline):
                return await self._until_answered(request, since)
        except TimeoutError:
            raise errors.Unavailable() from None

    async def warm(self, room_id: str) -> None:
        """Load a room that is cold; one that is not there stays so. Raises Unavailable."""
        with contextlib.suppress(errors.NotFound):  # what was deleted says so too, once it is here
            await self.append(events.touched(room_id))

    async def _until_answered(self, request: Append, since: int) -> Appended | Nothing:
        """Ask, and remove what is in the way, until there is an answer.

        A call of unknown outcome is repeated under the same request id: it can only run once.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._settings.redis_deadline
        asked = not request.ask_archive
        nonce = secrets.token_hex(8)
        while True:
            seconds = deadline - loop.time()
            deadline_ms = self._appender.redis_ms(seconds)
            call = request.call(self._settings, self._origin, nonce, deadline_ms, asked, since)
            answer = await self._call(call)
            outcome = answer[0].decode()
            if outcome in ("ok", "duplicate"):
                return _appended(answer, outcome == "duplicate", nonce)
            if outcome == "nothing":
                return Nothing(int(answer[2]))
            if outcome == "cold":
                quiet = answer[2] == b"quiet"
                await self._loader.load(request.room_id, nonce, quiet=quiet, create=request.absent)
            elif outcome in _WAITS:
                await asyncio.sleep(_WAITS[outcome])
            elif outcome == "ask":
                if answer[3] == b"unknown":
                    self._ids.read_soon(request.room_id, int(answer[2]))
                # Before the message is looked for: it may be stored between the two.
                complete = answer[3] == b"unknown" or await self._complete(request.room_id, answer)
                if stored := await self.stored(request):
                    return stored
                asked = complete
                await asyncio.sleep(0 if complete else _WAITS["late"])
            else:
                _refuse(outcome, answer)

    async def _complete(self, room_id: str, answer: list[Any]) -> bool:
        """Whether the archive has all that Redis' memory of ids has let go.

        A room is stored in order: it has where its newest is of the window, or the room's last.
        """
        newest = await self._archive.page(room_id, limit=1, newest_first=True)
        if not newest:
            return int(answer[4]) == 0
        sent = datetime.fromisoformat(newest[0]["created_at"]).timestamp()
        let_go = int(answer[1]) / 1000 - self._settings.idempotency_ttl
        return bool(newest[0]["seq"] >= int(answer[4]) or sent > let_go)

    async def _call(self, call: Call) -> list[Any]:
        """The script's answer; `unknown` when nobody can tell whether it ran."""
        try:
            return await self._appender.call(call)
        except (RedisError, OSError):
            return [b"unknown"]

    async def stored(self, request: Append) -> Appended | None:
        """The first result of a message, as the archive has it. Raises Conflict, Unavailable."""
        message = await self._archive.message(request.room_id, request.request_id)
        if message is None:
            return None
        if message.hash != request.hash:
            raise _REFUSALS["conflict"]
        status: Literal["queued", "failed"] = "failed" if message.failed else "queued"
        ts = str(message.message.get("created_at", ""))
        none: frozenset[str] = frozenset()
        return Appended(message.epoch, message.offset, message.seq, ts, none, {}, status, True)


def _appended(answer: list[Any], known: bool, nonce: str) -> Appended:
    """`known`: it had run before. Whose answer was lost has met himself: that is no duplicate."""
    _, _, epoch, offset, seq, ts, entries, picked, status, *more = answer
    duplicate = known and more[0] != nonce[:8].encode()
    read_on, rev, unhid, typed = (0, 0, b"", 0) if known else more
    return Appended(
        epoch=int(epoch),
        offset=int(offset),
        seq=int(seq),
        ts=ts.decode(),
        entries=frozenset(entries.decode().split()),
        picked={op: tuple(users) for op, users in orjson.loads(picked).items()},
        status=status.decode(),
        duplicate=duplicate,
        read_on=bool(read_on),
        rev=int(rev),
        unhid=tuple(unhid.decode().split()),
        typed=bool(typed),
    )


def _refuse(outcome: str, answer: list[Any]) -> NoReturn:
    if outcome == "exists":
        raise Exists(bool(answer[2]))
    if outcome == "behind":
        raise Behind(int(answer[2]))
    if outcome == "moved":
        raise Moved
    refusal = _REFUSALS[outcome]
    raise type(refusal)(refusal.message, retry_after_ms=refusal.retry_after_ms)
