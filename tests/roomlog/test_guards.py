"""Guards of append.lua: a refused request writes nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from rts_server import keys
from rts_server.domain.roles import Role
from rts_server.domain.room import NewRoom
from rts_server.domain.size_limits import SizeLimits
from rts_server.roomlog.member_events import (
    member_added,
    member_left,
    member_removed,
    member_updated,
)
from rts_server.roomlog.message_events import message_edited
from rts_server.roomlog.request import AppendRequest
from rts_server.roomlog.room_events import room_created, room_updated, settings_changed
from rts_server.roomlog.script import APPEND
from tests.helpers.bench import Bench, append, group, message
from tests.helpers.waiting import PATIENCE

Harm = Callable[[Bench, str], Awaitable[Any]]


async def _limit(bench: Bench, room_id: str) -> None:
    bench.settings = replace(bench.settings, limits=SizeLimits(group_members=3))


async def _full(bench: Bench, room_id: str) -> None:
    bench.settings = replace(bench.settings, outbox_cap=1)


async def _frozen(bench: Bench, room_id: str) -> None:
    await bench.redis.hset(keys.room(room_id).head, "frozen", 1)


async def _busy(bench: Bench, room_id: str) -> None:
    bench.settings = replace(bench.settings, rate_limits="standard")
    await bench.redis.hset(keys.room(room_id).head, "full_at", 2**52)


async def _nothing(bench: Bench, room_id: str) -> None:
    pass


async def _foreign_outbox(bench: Bench, room_id: str) -> None:
    await bench.redis.set(keys.room(room_id).outbox, "x")


async def _foreign_idem(bench: Bench, room_id: str) -> None:
    await bench.redis.set(keys.room(room_id).idem(message(room_id, "alice").request_id), "x")


REFUSED: dict[str, tuple[Harm, Callable[[str], AppendRequest], dict[str, Any], str]] = {
    "a stranger sends": (_nothing, lambda r: message(r, "eve"), {}, "not_found"),
    "a stranger adds himself": (
        _nothing, lambda r: member_added(r, "eve", ["eve"], "owner"), {}, "not_found",
    ),
    "a member adds": (
        _nothing, lambda r: member_added(r, "bob", ["x"], "member"), {}, "forbidden",
    ),
    "a member removes": (
        _nothing, lambda r: member_removed(r, "bob", ["carol"]), {}, "forbidden",
    ),
    "the last owner goes": (
        _nothing, lambda r: member_removed(r, "alice", ["alice"]), {}, "last_owner",
    ),
    "a frozen room": (_frozen, lambda r: message(r, "bob"), {}, "frozen"),
    "a room above its rate": (_busy, lambda r: message(r, "bob"), {}, "busy"),
    "a stranger in a room above its rate": (_busy, lambda r: message(r, "eve"), {}, "not_found"),
    "more members than may be": (
        _limit, lambda r: member_added(r, "alice", ["x"], "member"), {}, "limit",
    ),
    "nobody new": (
        _nothing, lambda r: member_added(r, "alice", ["bob"], "member"), {}, "nothing",
    ),
    "nobody to go": (
        _nothing, lambda r: member_removed(r, "alice", ["x"]), {}, "nothing",
    ),
    "the deadline passed": (_nothing, lambda r: message(r, "alice"), {"deadline": 1}, "late"),
    "the outbox is full": (_full, lambda r: message(r, "alice"), {}, "full"),
    "the outbox is no stream": (_foreign_outbox, lambda r: message(r, "alice"), {}, "broken"),
    "the memory is no hash": (_foreign_idem, lambda r: message(r, "alice"), {}, "broken"),
    "the room is there": (_nothing, lambda r: group("alice"), {}, "exists"),
    "the room is there for others": (_nothing, lambda r: _as("eve"), {}, "exists"),
    "a change of what moved": (_nothing, lambda r: _change(r, epoch=0), {}, "moved"),
    "a room changed by a member": (_nothing, lambda r: _update(r, "bob", 1), {}, "forbidden"),
    "a room that moved": (_nothing, lambda r: _update(r, "alice", 2), {}, "moved"),
    "a role given by a member": (
        _nothing, lambda r: member_updated(r, "bob", "carol", "admin"), {}, "forbidden",
    ),
    "a role for a stranger": (
        _nothing, lambda r: member_updated(r, "alice", "eve", "admin"), {}, "no_member",
    ),
    "the role that was": (
        _nothing, lambda r: member_updated(r, "alice", "bob", "member"), {}, "nothing",
    ),
    "the last owner steps down": (
        _nothing, lambda r: member_updated(r, "alice", "alice", "admin"), {}, "last_owner",
    ),
    "the last owner leaves": (
        _nothing, lambda r: member_left(r, "alice", None), {}, "last_owner",
    ),
    "the owner names a stranger": (
        _nothing, lambda r: member_left(r, "alice", "eve"), {}, "no_member",
    ),
    "a member hands the room over": (
        _nothing, lambda r: member_left(r, "bob", "carol"), {}, "forbidden",
    ),
    "settings of a stranger": (
        _nothing, lambda r: settings_changed(r, "eve", {"muted": True}), {}, "not_found",
    ),
    "settings as they are": (
        _nothing, lambda r: settings_changed(r, "bob", {"muted": False}), {}, "nothing",
    ),
}  # fmt: skip


def _as(actor: str) -> AppendRequest:
    return replace(group("alice"), actor=actor)


def _update(room_id: str, actor: str, version: int) -> AppendRequest:
    room: Any = {
        "room_id": room_id,
        "type": "group",
        "version": version,
        "frozen": False,
        "name": "G",
    }
    return room_updated(room, 1, actor, {"name": "H"})


def _change(room_id: str, epoch: int) -> AppendRequest:
    before: Any = {
        "message_id": "x",
        "room_id": room_id,
        "version": 1,
        "sender_id": "alice",
        "seq": 1,
    }
    before |= {"type": "text", "text": "t", "created_at": "now"}
    return message_edited(before, epoch, "alice", {"text": "u"})


@pytest.mark.parametrize("case", REFUSED)
async def test_a_refused_append_writes_nothing(bench: Bench, case: str) -> None:
    """Whatever the reason, every key is unchanged, and nothing is published."""
    harm, make, more, outcome = REFUSED[case]
    room_id = await bench.group("alice", "bob", "carol")
    await harm(bench, room_id)
    before = await bench.dump()
    async with bench.redis.pubsub() as channel:
        await channel.subscribe(keys.room_channel(room_id))
        assert await channel.get_message(timeout=PATIENCE) is not None
        assert await bench.outcome(make(room_id), **more) == outcome
        await bench.redis.publish(keys.room_channel(room_id), "end")
        heard = await channel.get_message(timeout=PATIENCE)
    assert heard is not None
    assert heard["data"] == b"end"
    assert await bench.dump() == before


@pytest.mark.parametrize(("actor", "is_member"), [("alice", 1), ("eve", 0)])
async def test_a_creation_of_an_existing_room_says_only_whether_the_actor_is_a_member(
    bench: Bench, actor: str, is_member: int
) -> None:
    """Nothing else of the room is answered (A4)."""
    await bench.group("alice", "bob")
    answer = await bench.append(_as(actor))
    assert (answer[0], answer[2]) == ("exists", is_member)


async def test_a_direct_room_gets_no_further_member(bench: Bench) -> None:
    """Membership is checked first, so a stranger learns nothing (A4)."""
    request = group("alice", "bob")
    room: NewRoom = {
        "room_id": request.room_id,
        "type": "direct",
        "name": None,
        "metadata": {},
    }
    pair = room_created(room, "alice", request.new_members, request.request_id)
    room_id = await bench.open(pair)
    add = member_added(room_id, "alice", ["x"], "member")
    assert await bench.outcome(add) == "direct"
    assert await bench.outcome(replace(add, actor="eve")) == "not_found"


async def test_an_owner_may_leave_if_another_stays(bench: Bench) -> None:
    """A group keeps an owner; an admin cannot remove one."""
    room_id = await bench.group("alice", "bob")
    roles: dict[str, Role] = {"olga": "owner", "adam": "admin"}
    for user, role in roles.items():
        assert await bench.outcome(member_added(room_id, "alice", [user], role)) == "ok"
    assert await bench.outcome(member_removed(room_id, "adam", ["olga"])) == "forbidden"
    both = member_removed(room_id, "alice", ["alice", "olga"])
    assert await bench.outcome(both) == "last_owner"
    assert await bench.outcome(member_removed(room_id, "alice", ["alice"])) == "ok"


@pytest.mark.parametrize("role", ["readonly", "member", "admin", "owner"])
async def test_a_role_is_read_in_the_script(bench: Bench, role: Role) -> None:
    """Readonly members cannot send; in a frozen room only owners and admins can."""
    room_id = await bench.group("alice")
    assert await bench.outcome(member_added(room_id, "alice", ["u"], role)) == "ok"
    expected = "forbidden" if role == "readonly" else "ok"
    assert await bench.outcome(message(room_id, "u", "m")) == expected
    await _frozen(bench, room_id)
    frozen = {"readonly": "forbidden", "member": "frozen"}.get(role, "ok")
    assert await bench.outcome(message(room_id, "u", "n")) == frozen


async def test_the_rate_of_a_room_is_one_for_all_instances(bench: Bench) -> None:
    """Who sends has the burst together, operators too, then waits; replays are not refused."""
    bench.settings = replace(bench.settings, rate_limits="standard", rates="room=0.001/3")
    room_id = await bench.group("alice", "bob")
    for number, sender in enumerate(("alice", "bob", "alice")):
        call = append(message(room_id, sender, f"m{number}"), bench.settings, origin=sender)
        assert (await APPEND.evaluate(bench.redis, *call))[0] == b"ok"
    refused = await bench.append(message(room_id, "bob", "late"))
    assert refused[0] == "busy"
    assert 900_000 < refused[2] <= 1_000_000
    assert await bench.outcome(message(room_id, "alice", "m0")) == "duplicate"
    by_operator = replace(message(room_id, "ops", "by an operator"), roles=None)
    assert await bench.outcome(by_operator) == "busy"
    by_system = replace(member_added(room_id, "ops", ["carol"], "member"), roles=None)
    assert await bench.outcome(by_system) == "ok"
    replay = replace(message(room_id, "alice", "lost"), replay_of=(1, 1))
    assert await bench.outcome(replay) == "ok"
