"""What Redis lost does not come back over a newer wish that was answered meanwhile."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from rts_server.rooms import events
from rts_server.rooms.appends import Done
from rts_server.rooms.overtaken import targets, without
from tests.rooms.bench import message
from tests.rooms.deployed import Deployed

Wish = Callable[[Any, str], Awaitable[Done]]


def wish(part: str, name: str, *given: Any) -> Wish:
    """A command on a room."""
    return lambda parts, room_id: getattr(getattr(parts, part), name)(room_id, *given)


CASES: dict[str, tuple[Wish, Wish, dict[str, Any]]] = {
    "added, then removed": (
        wish("memberships", "add", "alice", ["eve"], "member"),
        wish("memberships", "remove", "alice", ["eve"]),
        {"state": "out"},
    ),
    "admin, then readonly": (
        wish("memberships", "give", "alice", "bob", "admin"),
        wish("memberships", "give", "alice", "bob", "readonly"),
        {"state": "in", "role": "readonly"},
    ),
    "muted, then not": (
        wish("rooms", "set", "bob", {"muted": True}),
        wish("rooms", "set", "bob", {"muted": False}),
        {"state": "in", "muted": False},
    ),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("elsewhere", [False, True])
async def test_the_newer_wish_stays(deployed: Deployed, case: str, elsewhere: bool) -> None:
    """Lost before the queue had it, then answered otherwise: here, or by another instance."""
    first, second, wanted = CASES[case]
    room_id = await deployed.group("alice", "bob")
    lost = await first(deployed.parts, room_id)
    await deployed.redis.flushall()
    other = Deployed(deployed.settings, deployed.redis)
    async with deployed.relaying(), other:
        newer = await second(other.parts if elsewhere else deployed.parts, room_id)
        assert await newer.fate == "stored"
        assert await lost.fate == "stored"
    out = wanted["state"] == "out"
    user = "eve" if out else "bob"
    member = await deployed.parts.archive.member(room_id, user)
    # never in, or in and out again: the older wish may have landed before the newer was made
    assert (member is None and out) or {n: getattr(member, n) for n in wanted} == wanted
    standing = await deployed.parts.standings.join(room_id, [user])
    assert standing is not None
    assert (standing.seats[user] is None) == out


async def test_what_was_heard_comes_back_whoever_its_actor_is_by_then(deployed: Deployed) -> None:
    """A leave whose removal was stored alone still hands the room over."""
    room_id = await deployed.group("alice", "bob")
    left = await deployed.parts.memberships.leave(room_id, "alice", "bob")
    waiting = await deployed.outbox()
    removal = [fields for _, _, fields in waiting if b'"member.removed"' in fields[b"d"][:60]]
    assert len(removal) == 1
    deployed.deliver(removal)
    await deployed.redis.flushall()
    async with deployed.relaying():
        sent = await deployed.send(room_id, "bob", "m")
        assert await sent.fate == "queued"
        assert await left.fate == "stored"
    states = {m.user_id: (m.state, m.role) for m in await deployed.parts.archive.members(room_id)}
    assert states["alice"][0] == "out"
    assert states["bob"] == ("in", "owner")


def test_what_of_a_request_was_overtaken() -> None:
    """Only what the newer wish was about; messages have versions of their own."""
    add = events.member_added("r", "alice", ["bob", "carol"], "member")
    assert targets(add) == {("member", "bob"), ("member", "carol")}
    left = without(add, {("member", "bob"), ("settings", "carol")})
    assert left is not None
    assert [one.user_id for one in left.joining] == ["carol"]
    assert without(add, targets(add)) is None
    assert without(add, {("room", "")}) is add
    leave = without(events.member_left("r", "alice", "bob"), {("member", "alice")})
    assert leave is not None
    assert (leave.going, leave.giving) == ((), (("bob", "owner"),))
    mute = events.settings_changed("r", "bob", {"muted": True})
    assert without(mute, {("member", "bob")}) is mute
    assert without(mute, {("settings", "bob")}) is None
    assert targets(message("r", "alice")) == frozenset()
