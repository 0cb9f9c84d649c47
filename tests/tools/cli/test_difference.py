"""What lies between present and declared, as algebra."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rts_server.tools.cli.difference import (
    EMPTY,
    SLICE,
    Declared,
    Member,
    Present,
    becomes,
    difference,
    steps,
)

USERS = st.sampled_from([f"u{n}" for n in range(8)])
ROLES = st.sampled_from(["owner", "admin", "member", "readonly"])
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "name": st.sampled_from(["A", "B"]),
    "metadata": st.dictionaries(st.sampled_from("xy"), st.integers(0, 2), max_size=2),
    "frozen": st.booleans(),
}
PRESENT = st.builds(
    Present,
    st.fixed_dictionaries({**FIELDS, "name": st.none() | FIELDS["name"]}),
    st.dictionaries(USERS, ROLES),
)
MEMBERS = st.dictionaries(USERS, ROLES).map(
    lambda roles: tuple(Member(user, role) for user, role in roles.items())
)
DECLARED = st.builds(
    Declared,
    st.just("order-17"),
    st.fixed_dictionaries({}, optional=FIELDS),
    st.none() | MEMBERS,
    st.booleans(),
)


def roles(declared: Declared) -> Mapping[str, str]:
    """Of those who are declared."""
    return {one.user_id: one.role for one in declared.members or ()}


@given(st.none() | PRESENT, DECLARED)
def test_applied_it_is_as_declared(present: Present | None, declared: Declared) -> None:
    """Present + difference: what is declared is so, what is not is as it was."""
    after = becomes(present, difference(present, declared))
    before = present or EMPTY
    assert after.fields == {**before.fields, **declared.fields}
    if declared.members is None:
        assert after.roles == before.roles
    elif declared.whole:
        assert after.roles == roles(declared)
    else:
        assert after.roles == {**before.roles, **roles(declared)}
    assert not difference(after, declared)


@given(PRESENT, st.booleans())
def test_of_equals_there_is_none(present: Present, whole: bool) -> None:
    """A room declared as it is needs nothing, and nothing is asked."""
    members = tuple(Member(user, role) for user, role in present.roles.items())
    fields = {name: value for name, value in present.fields.items() if value is not None}
    declared = Declared("order-17", fields, members, whole)
    change = difference(present, declared)
    assert not change
    assert list(steps(declared, change)) == []


@given(PRESENT, DECLARED)
def test_the_requests_say_all_of_it(present: Present, declared: Declared) -> None:
    """Played back one by one, the requests make what the difference promises."""
    change = difference(present, declared)
    fields, members = dict(present.fields), dict(present.roles)
    for step in steps(declared, change):
        match step.method:
            case "PATCH":
                fields |= step.body
            case "PUT":
                members = {one["user_id"]: one["role"] for one in step.body["members"]}
            case "POST":
                for one in step.body["add"] + step.body["update"]:
                    members[one["user_id"]] = one["role"]
    after = becomes(present, change)
    assert (fields, members) == (after.fields, after.roles)


def test_many_members_come_in_slices() -> None:
    """A new room of 250 is made with 100 and gets the others by 100; frozen comes behind."""
    declared = Declared("x/1", {"frozen": True}, tuple(Member(f"u{n}") for n in range(250)))
    asked = list(steps(declared, difference(None, declared)))
    assert [step.method for step in asked] == ["PUT", "PATCH", "POST", "POST"]
    assert asked[0].path == "/v1/external-rooms/x%2F1"
    assert len(asked[0].body["members"]) == SLICE
    assert asked[1].body == {"frozen": True}
    assert [len(step.body["add"]) for step in asked[2:]] == [100, 50]
