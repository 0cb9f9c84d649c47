"""The difference between a current and a declared room, by properties."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rts_server.tools.cli.difference import (
    MEMBERS_PER_REQUEST,
    NEW_ROOM,
    CurrentRoom,
    MemberDeclaration,
    RoomDeclaration,
    RoomDifference,
    after_change,
    difference,
    requests,
)

USERS = st.sampled_from([f"u{n}" for n in range(8)])
ROLES = st.sampled_from(["owner", "admin", "member", "readonly"])
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "name": st.sampled_from(["A", "B"]),
    "metadata": st.dictionaries(st.sampled_from("xy"), st.integers(0, 2), max_size=2),
    "frozen": st.booleans(),
}
CURRENT = st.builds(
    CurrentRoom,
    st.fixed_dictionaries({**FIELDS, "name": st.none() | FIELDS["name"]}),
    st.dictionaries(USERS, ROLES),
)
MEMBERS = st.dictionaries(USERS, ROLES).map(
    lambda roles: tuple(MemberDeclaration(user, role) for user, role in roles.items())
)
DECLARED = st.builds(
    RoomDeclaration,
    st.just("order-17"),
    st.fixed_dictionaries({}, optional=FIELDS),
    st.none() | MEMBERS,
    st.booleans(),
)


def roles(declared: RoomDeclaration) -> Mapping[str, str]:
    """Roles by user id, of the declared members."""
    return {one.user_id: one.role for one in declared.members or ()}


def sent(declared: RoomDeclaration, change: RoomDifference) -> list[tuple[str, str, Any]]:
    """Method, path and body of each request."""
    return [(one.method, one.path, one.body) for one in requests(declared, change)]


@given(st.none() | CURRENT, DECLARED)
def test_the_difference_makes_a_room_as_declared(
    current: CurrentRoom | None, declared: RoomDeclaration
) -> None:
    """After the change, declared fields and members are as declared, and all others as before."""
    after = after_change(current, difference(current, declared))
    before = current or NEW_ROOM
    assert after.fields == {**before.fields, **declared.fields}
    if declared.members is None:
        assert after.roles == before.roles
    elif declared.whole:
        assert after.roles == roles(declared)
    else:
        assert after.roles == {**before.roles, **roles(declared)}
    assert not difference(after, declared)


@given(CURRENT, st.booleans())
def test_a_room_as_declared_has_no_difference(current: CurrentRoom, whole: bool) -> None:
    """A room that is as declared needs no change and no request."""
    members = tuple(MemberDeclaration(user, role) for user, role in current.roles.items())
    fields = {name: value for name, value in current.fields.items() if value is not None}
    declared = RoomDeclaration("order-17", fields, members, whole)
    change = difference(current, declared)
    assert not change
    assert list(requests(declared, change)) == []


@given(CURRENT, DECLARED)
def test_the_requests_make_the_whole_change(
    current: CurrentRoom, declared: RoomDeclaration
) -> None:
    """The requests, applied one by one, have the effect of the difference."""
    change = difference(current, declared)
    fields, members = dict(current.fields), dict(current.roles)
    for method, _, body in sent(declared, change):
        match method:
            case "PATCH":
                fields |= body
            case "PUT":
                members = {one["user_id"]: one["role"] for one in body["members"]}
            case "POST":
                for one in body["add"] + body["update"]:
                    members[one["user_id"]] = one["role"]
    after = after_change(current, change)
    assert (fields, members) == (after.fields, after.roles)


def test_members_are_added_in_batches() -> None:
    """A room of 250 is created with 100 members, frozen, and then gets the others by 100."""
    declared = RoomDeclaration(
        "x/1", {"frozen": True}, tuple(MemberDeclaration(f"u{n}") for n in range(250))
    )
    methods, paths, bodies = zip(*sent(declared, difference(None, declared)), strict=True)
    assert methods == ("PUT", "PATCH", "POST", "POST")
    assert paths[0] == "/v1/external-rooms/x%2F1"
    assert len(bodies[0]["members"]) == MEMBERS_PER_REQUEST
    assert bodies[1] == {"frozen": True}
    assert [len(body["add"]) for body in bodies[2:]] == [100, 50]
