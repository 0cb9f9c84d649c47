"""What Redis lost does not come back over a newer wish that was answered meanwhile."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from rts_server import errors
from rts_server.roomlog import events
from rts_server.roomlog.pending_write import PendingWrite
from rts_server.roomlog.superseded import targets, without
from rts_server.services import Services
from tests.helpers.bench import message
from tests.helpers.deployed import Deployed

Wish = Callable[[Any, str], Awaitable[PendingWrite]]


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
        wish("memberships", "set_role", "alice", "bob", "admin"),
        wish("memberships", "set_role", "alice", "bob", "readonly"),
        {"state": "in", "role": "readonly"},
    ),
    "muted, then not": (
        wish("rooms", "change_settings", "bob", {"muted": True}),
        wish("rooms", "change_settings", "bob", {"muted": False}),
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
        assert await newer.durability == "stored"
        assert await lost.durability == "stored"
    out = wanted["state"] == "out"
    user = "eve" if out else "bob"
    member = await deployed.parts.archive.member(room_id, user)
    # never in, or in and out again: the older wish may have landed before the newer was made
    assert (member is None and out) or {n: getattr(member, n) for n in wanted} == wanted
    standing = await deployed.parts.snapshots.read(room_id, [user])
    assert standing is not None
    assert (standing.members[user] is None) == out


Change = Callable[[Services, str, str], Awaitable[tuple[Any, PendingWrite]]]


def edits(text: str) -> Change:
    """The sender gives the message another text."""
    return lambda parts, room, message: parts.messages.edit(room, "alice", message, {"text": text})


def reacts(on: bool) -> Change:
    """Bob gives or takes a reaction."""
    return lambda parts, room, message: parts.messages.react(room, "bob", message, "👍", on=on)


def deletes() -> Change:
    """The sender takes the message back."""
    return lambda parts, room, message: parts.messages.delete(room, "alice", message)


CHANGES: dict[str, tuple[Change, Change, dict[str, Any]]] = {
    "edited, then otherwise": (edits("older"), edits("newer"), {"text": "newer"}),
    "edited, then as it was": (edits("older"), edits("first"), {"text": "first"}),
    "reacted, then not": (reacts(True), reacts(False), {"text": "first", "reactions": {}}),
    "edited, then deleted": (edits("older"), deletes(), {"text": ""}),
    "deleted, then edited by who had not heard": (deletes(), edits("newer"), {"text": ""}),
    "edited, then a reaction": (
        edits("older"),
        reacts(True),
        {"text": "older", "reactions": {"👍": {"count": 1, "user_ids": ["bob"]}}},
    ),
}


@pytest.mark.parametrize("case", CHANGES)
@pytest.mark.parametrize("elsewhere", [False, True])
async def test_the_newer_change_of_a_message_stays(
    deployed: Deployed, case: str, elsewhere: bool
) -> None:
    """Lost before the queue had it, then answered otherwise: here, or by another instance."""
    first, second, wanted = CHANGES[case]
    room_id = await deployed.group("alice", "bob")
    sent = await deployed.send(room_id, "alice", "m", "first")
    await deployed.store()
    other = Deployed(deployed.settings, deployed.redis)
    async with other:
        _, lost = await first(deployed.parts, room_id, sent.request_id)
        for pending in deployed.parts.durability._pending.values():
            pending.next_poll += 1.0
        await deployed.redis.flushall()
        async with deployed.relaying():
            parts = other.parts if elsewhere else deployed.parts
            with suppress(errors.Gone):
                _, newer = await second(parts, room_id, sent.request_id)
                assert await newer.durability == "queued"
            assert await lost.durability in ("queued", "failed")
    stored = await deployed.parts.archive.message(room_id, sent.request_id)
    assert stored is not None
    assert {name: stored.message[name] for name in wanted} == wanted


@pytest.mark.parametrize("first", [0, 1])
async def test_of_two_lost_changes_the_later_stays(deployed: Deployed, first: int) -> None:
    """Two instances each lost one: whoever is the first to make his again."""
    room_id = await deployed.group("alice", "bob")
    sent = await deployed.send(room_id, "alice", "m", "first")
    await deployed.store()
    other = Deployed(deployed.settings, deployed.redis)
    async with other:
        _, older = await edits("older")(deployed.parts, room_id, sent.request_id)
        _, newer = await edits("newer")(other.parts, room_id, sent.request_id)
        added = await deployed.parts.memberships.add(room_id, "alice", ["eve"], "member")
        gone = await other.parts.memberships.remove(room_id, "alice", ["eve"])
        late = (deployed, other)[first].parts.durability._pending
        for pending in late.values():
            pending.next_poll += 1.0
        await deployed.redis.flushall()
        async with deployed.relaying():
            assert {await older.durability, await newer.durability} == {"queued"}
            assert {await added.durability, await gone.durability} == {"stored"}
    stored = await deployed.parts.archive.message(room_id, sent.request_id)
    assert stored is not None
    assert stored.message["text"] == "newer"
    eve = await deployed.parts.archive.member(room_id, "eve")
    assert eve is None or eve.state == "out"


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
        assert await sent.durability == "queued"
        assert await left.durability == "stored"
    states = {m.user_id: (m.state, m.role) for m in await deployed.parts.archive.members(room_id)}
    assert states["alice"][0] == "out"
    assert states["bob"] == ("in", "owner")


def test_what_of_a_request_was_overtaken() -> None:
    """Only what the newer wish was about; messages have versions of their own."""
    add = events.member_added("r", "alice", ["bob", "carol"], "member")
    assert targets(add) == {("member", "bob"), ("member", "carol")}
    left = without(add, {("member", "bob"), ("settings", "carol")})
    assert left is not None
    assert [one.user_id for one in left.new_members] == ["carol"]
    assert without(add, targets(add)) is None
    assert without(add, {("room", "")}) is add
    leave = without(events.member_left("r", "alice", "bob"), {("member", "alice")})
    assert leave is not None
    assert (leave.removals, leave.role_changes) == ((), (("bob", "owner"),))
    mute = events.settings_changed("r", "bob", {"muted": True})
    assert without(mute, {("member", "bob")}) is mute
    assert without(mute, {("settings", "bob")}) is None
    assert targets(message("r", "alice")) == frozenset()
