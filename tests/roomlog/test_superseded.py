"""A lost append is replayed without what a later acknowledged command decided (D1, D8)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any, cast
from unittest.mock import ANY

import pytest

from rts_server import errors, keys
from rts_server.domain.message import MessageChange
from rts_server.roomlog.intents import settings_intent
from rts_server.roomlog.member_events import member_added, member_left, member_renamed
from rts_server.roomlog.pending_write import PendingWrite
from rts_server.roomlog.room_events import settings_changed
from rts_server.roomlog.superseded import targets, without, without_intents
from rts_server.services import Services
from tests.helpers.bench import message
from tests.helpers.deployed import Deployed, end

Wish = Callable[[Any, str], Awaitable[PendingWrite]]


def command(part: str, name: str, *given: Any) -> Wish:
    """A command on a room."""
    return lambda services, room_id: getattr(getattr(services, part), name)(room_id, *given)


CASES: dict[str, tuple[Wish, Wish, dict[str, Any]]] = {
    "added, then removed": (
        command("memberships", "add", "alice", ["eve"], "member"),
        command("memberships", "remove", "alice", ["eve"]),
        {"state": "out"},
    ),
    "admin, then readonly": (
        command("memberships", "set_role", "alice", "bob", "admin"),
        command("memberships", "set_role", "alice", "bob", "readonly"),
        {"state": "in", "role": "readonly"},
    ),
    "muted, then not": (
        command("rooms", "change_settings", "bob", {"muted": True}),
        command("rooms", "change_settings", "bob", {"muted": False}),
        {"state": "in", "muted": False},
    ),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("elsewhere", [False, True])
async def test_a_later_command_about_a_member_stays(
    deployed: Deployed, case: str, elsewhere: bool
) -> None:
    """The earlier one was lost; the later one was acked by this instance or another."""
    first, second, wanted = CASES[case]
    room_id = await deployed.group("alice", "bob")
    lost = await first(deployed.services, room_id)
    await deployed.redis.flushall()
    other = Deployed(deployed.settings, deployed.redis)
    async with deployed.relaying(), other:
        newer = await second(other.services if elsewhere else deployed.services, room_id)
        assert await newer.durability == "stored"
        assert await lost.durability == "stored"
    out = wanted["state"] == "out"
    user = "eve" if out else "bob"
    member = await deployed.services.archive.member(room_id, user)
    # never in, or in and out again: the older wish may have landed before the newer was made
    assert (member is None and out) or {n: getattr(member, n) for n in wanted} == wanted
    standing = await deployed.services.snapshots.read(room_id, [user])
    assert standing is not None
    assert (standing.members[user] is None) == out


Change = Callable[[Services, str, str], Awaitable[tuple[Any, PendingWrite]]]


def edits(text: str) -> Change:
    """The sender edits the text."""
    return lambda services, room, message: services.messages.edit(
        room, "alice", message, {"text": text}
    )


def reacts(on: bool) -> Change:
    """Bob adds or removes a reaction."""
    return lambda services, room, message: services.messages.react(
        room, "bob", message, "👍", on=on
    )


def deletes() -> Change:
    """The sender deletes the message."""
    return lambda services, room, message: services.messages.delete(room, "alice", message)


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
async def test_a_later_change_of_a_message_stays(
    deployed: Deployed, case: str, elsewhere: bool
) -> None:
    """The earlier one was lost; the later one was acked by this instance or another."""
    first, second, wanted = CHANGES[case]
    room_id = await deployed.group("alice", "bob")
    sent = await deployed.send(room_id, "alice", "m", "first")
    await deployed.store()
    other = Deployed(deployed.settings, deployed.redis)
    async with other:
        _, lost = await first(deployed.services, room_id, sent.request_id)
        for pending in deployed.services.durability._pending.values():
            pending.next_poll += 1.0
        await deployed.redis.flushall()
        async with deployed.relaying():
            services = other.services if elsewhere else deployed.services
            with suppress(errors.Gone):
                _, newer = await second(services, room_id, sent.request_id)
                assert await newer.durability == "queued"
            assert await lost.durability in ("queued", "failed")
    stored = await deployed.services.archive.message(room_id, sent.request_id)
    assert stored is not None
    assert stored.message.items() >= wanted.items()


@pytest.mark.parametrize("first", [0, 1])
async def test_of_two_lost_changes_the_later_stays(deployed: Deployed, first: int) -> None:
    """Two instances lost one each: the later wins, whichever instance replays first."""
    room_id = await deployed.group("alice", "bob")
    sent = await deployed.send(room_id, "alice", "m", "first")
    await deployed.store()
    other = Deployed(deployed.settings, deployed.redis)
    async with other:
        _, older = await edits("older")(deployed.services, room_id, sent.request_id)
        _, newer = await edits("newer")(other.services, room_id, sent.request_id)
        added = await deployed.services.memberships.add(room_id, "alice", ["eve"], "member")
        gone = await other.services.memberships.remove(room_id, "alice", ["eve"])
        late = (deployed, other)[first].services.durability._pending
        for pending in late.values():
            pending.next_poll += 1.0
        await deployed.redis.flushall()
        async with deployed.relaying():
            assert {await older.durability, await newer.durability} == {"queued"}
            assert {await added.durability, await gone.durability} == {"stored"}
    stored = await deployed.services.archive.message(room_id, sent.request_id)
    assert stored is not None
    assert stored.message["text"] == "newer"
    eve = await deployed.services.archive.member(room_id, "eve")
    assert eve is None or eve.state == "out"


async def archived(deployed: Deployed, room_id: str, part: str) -> dict[str, Any]:
    """A room, a member or a message as the archive has it."""
    archive = deployed.services.archive
    if part == "room":
        stored = await archive.room(room_id)
        assert stored is not None
        return dict(stored.room or {})
    if part == "bob":
        member = await archive.member(room_id, "bob")
        assert member is not None
        return vars(member)
    message = await archive.message(room_id, keys.message_id(room_id, "alice", "m"))
    assert message is not None
    return dict(message.message)


def edits_fields(**change: Any) -> Wish:
    """The sender edits several fields of the message."""

    async def edit(services: Services, room_id: str) -> PendingWrite:
        message_id = keys.message_id(room_id, "alice", "m")
        return (
            await services.messages.edit(room_id, "alice", message_id, cast(MessageChange, change))
        )[1]

    return edit


FIELDS: dict[str, tuple[Wish, Wish, str, dict[str, Any]]] = {
    "text and metadata edited, then the text": (
        edits_fields(text="older", metadata={"a": 1}),
        edits_fields(text="newer"),
        "message",
        {"text": "newer", "metadata": {"a": 1}},
    ),
    "text and metadata edited, then the text as it was": (
        edits_fields(text="older", metadata={"a": 1}),
        edits_fields(text="first"),
        "message",
        {"text": "first", "metadata": {"a": 1}},
    ),
    "all fields edited, then all but one": (
        edits_fields(text="older", metadata={"a": 1}, mentions=["bob"]),
        edits_fields(text="newer", metadata={"b": 2}),
        "message",
        {"text": "newer", "metadata": {"b": 2}, "mentions": ["bob"]},
    ),
    "name and metadata of a room, then the name": (
        command("rooms", "update", "alice", {"name": "older", "metadata": {"a": 1}}),
        command("rooms", "update", "alice", {"name": "newer"}),
        "room",
        {"name": "newer", "metadata": {"a": 1}},
    ),
    "name of a room, then its metadata": (
        command("rooms", "update", "alice", {"name": "older"}),
        command("rooms", "update", "alice", {"metadata": {"b": 2}}),
        "room",
        {"name": "older", "metadata": {"b": 2}},
    ),
    "name of a room, then as it was": (
        command("rooms", "update", "alice", {"name": "older", "frozen": True}),
        command("rooms", "update", "alice", {"name": None}),
        "room",
        {"name": None, "frozen": True},
    ),
    "room deleted, then named": (
        command("rooms", "delete", "alice"),
        command("rooms", "update", "alice", {"name": "newer"}),
        "room",
        {"deleted_at": ANY},
    ),
    "room named, then deleted": (
        command("rooms", "update", "alice", {"name": "older"}),
        command("rooms", "delete", "alice"),
        "room",
        {"deleted_at": ANY},
    ),
    "muted and hidden, then not muted": (
        command("rooms", "change_settings", "bob", {"muted": True, "hidden": True}),
        command("rooms", "change_settings", "bob", {"muted": False}),
        "bob",
        {"muted": False, "hidden": True},
    ),
    "muted, then hidden": (
        command("rooms", "change_settings", "bob", {"muted": True}),
        command("rooms", "change_settings", "bob", {"hidden": True}),
        "bob",
        {"muted": True, "hidden": True},
    ),
    "another role, then added who is in": (
        command("memberships", "set_role", "alice", "bob", "admin"),
        command("memberships", "add", "alice", ["bob"], "member"),
        "bob",
        {"state": "in", "role": "admin"},
    ),
    "removed, then added who is in": (
        command("memberships", "remove", "alice", ["bob"]),
        command("memberships", "add", "alice", ["bob"], "member"),
        "bob",
        {"state": "in"},
    ),
}


@pytest.mark.parametrize("case", FIELDS)
async def test_only_the_superseded_fields_are_left_out_of_a_replay(
    deployed: Deployed, case: str
) -> None:
    """A lost change keeps every field that no later acknowledged command decided (D1, D8)."""
    first, second, part, wanted = FIELDS[case]
    room_id = await deployed.group("alice", "bob")
    await deployed.send(room_id, "alice", "m", "first")
    await deployed.store()
    other = Deployed(deployed.settings, deployed.redis)
    async with other:
        lost = await first(deployed.services, room_id)
        pending = list(deployed.services.durability._pending.values())
        for one in pending:
            one.next_poll += 60.0
        await deployed.redis.flushall()
        async with deployed.relaying():
            newer = await second(other.services, room_id)
            for one in pending:
                one.next_poll = 0.0
            assert {await end(newer), await end(lost)} <= {"queued", "stored"}
        await deployed.store()
    shown = await archived(deployed, room_id, part)
    assert {name: shown[name] for name in wanted} == wanted


async def test_a_replay_does_not_check_the_roles_of_its_actor(deployed: Deployed) -> None:
    """A leave of which only the removal was stored still makes the other member an owner (D2)."""
    room_id = await deployed.group("alice", "bob")
    left = await deployed.services.memberships.leave(room_id, "alice", "bob")
    waiting = await deployed.outbox()
    removal = [fields for _, _, fields in waiting if b'"member.removed"' in fields[b"d"][:60]]
    assert len(removal) == 1
    deployed.deliver(removal)
    await deployed.redis.flushall()
    async with deployed.relaying():
        sent = await deployed.send(room_id, "bob", "m")
        assert await sent.durability == "queued"
        assert await left.durability == "stored"
    states = {
        m.user_id: (m.state, m.role) for m in await deployed.services.archive.members(room_id)
    }
    assert states["alice"][0] == "out"
    assert states["bob"] == ("in", "owner")


async def test_a_lost_rename_keeps_the_newer_role_and_yields_to_the_newer_name(
    deployed: Deployed,
) -> None:
    """Of a member, role and name are decided one by one; who rejoined is not renamed (D8)."""
    room_id = await deployed.group("alice", "bob", "carol")
    rename = partial(member_renamed, room_id, "ops")
    await deployed.store()
    async with Deployed(deployed.settings, deployed.redis) as other:
        appends = deployed.services.system_log
        lost = [await appends.append(rename(user, "Old")) for user in ("alice", "bob", "carol")]
        pending = list(deployed.services.durability._pending.values())
        for one in pending:
            one.next_poll += 60.0
        await deployed.redis.flushall()
        async with deployed.relaying():
            await other.services.memberships.set_role(room_id, "alice", "bob", "admin")
            await other.services.system_log.append(rename("alice", "New"))
            await other.services.memberships.remove(room_id, "alice", ["carol"])
            await other.services.memberships.add(room_id, "alice", ["carol"], "member")
            for one in pending:
                one.next_poll = 0.0
            assert {await one.durability for one in lost} <= {"queued", "stored"}
        await deployed.store()
    kept = {one.user_id: one for one in await deployed.services.archive.members(room_id)}
    found = {user: (one.role, one.name) for user, one in kept.items()}
    assert found == {
        "alice": ("owner", "New"),
        "bob": ("admin", "Old"),
        "carol": ("member", None),
    }


def test_a_request_is_reduced_to_the_targets_that_are_left() -> None:
    """Messages have ids and versions of their own, and no targets."""
    add = member_added("r", "alice", ["bob", "carol"], "member")
    assert targets(add) == {("member", "bob"), ("member", "carol")}
    left = without(add, {("member", "bob"), ("settings", "carol")})
    assert left is not None
    assert [one.user_id for one in left.new_members] == ["carol"]
    assert without(add, targets(add)) is None
    assert without(add, {("room", "")}) is add
    leave = without(member_left("r", "alice", "bob"), {("member", "alice")})
    assert leave is not None
    assert (leave.removals, leave.role_changes) == ((), (("bob", "owner"),))
    rename = member_renamed("r", "ops", "bob", "Bob")
    assert without(rename, {("member", "alice")}) is rename
    assert without(rename, {("member", "bob")}) is None
    mute = settings_changed("r", "bob", {"muted": True, "hidden": False})
    kept = without_intents(mute, {settings_intent("bob", "muted")})
    assert (kept.settings, len(kept.intents)) == ({"hidden": False}, 1)
    assert without(mute, {("member", "bob")}) is mute
    assert without(mute, {("settings", "bob")}) is None
    assert targets(message("r", "alice")) == frozenset()
