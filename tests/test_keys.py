"""Keys and derived ids: no id of a client reaches the keys of another."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rts_server import keys

ROOM_IDS = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)
USER_IDS = st.from_regex(r"[!-~]{1,128}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def slot(key: str) -> str:
    """Return the hash tag as Redis Cluster reads it."""
    found = re.match(r"[^{]*\{([^}]+)\}", key)
    assert found is not None, key
    return found[1]


@given(ROOM_IDS)
def test_all_keys_of_a_room_share_a_slot(room_id: str) -> None:
    """Script keys, idempotency keys and the partition's outbox have one hash tag."""
    room = keys.room(room_id)
    every = [*room.script_keys, room.idem("request")]
    assert {slot(key) for key in every} == {f"p{keys.partition(room_id)}"}
    assert 0 <= keys.partition(room_id) < keys.PARTITIONS
    assert room.outbox == keys.outbox(keys.partition(room_id))
    assert len(set(every)) == len(every)


@given(ROOM_IDS, ROOM_IDS)
def test_no_key_of_one_room_is_a_key_of_another(one: str, other: str) -> None:
    """Only the outbox is shared, and only inside a partition."""
    assume(one != other)
    first, second = keys.room(one), keys.room(other)
    names = {*first[:8], first.idem("x")}
    assert names.isdisjoint({*second[:8], second.idem("x")})


@given(USER_IDS, USER_IDS)
def test_no_user_can_name_the_key_of_another(one: str, other: str) -> None:
    """Special characters of a user id are quoted."""
    assume(one != other)
    assert keys.user_rooms(one) != keys.user_rooms(other)
    assert keys.user_channel(one) != keys.user_channel(other)
    for key in (keys.user_rooms(one), keys.user_channel(one)):
        assert key.isascii()
        assert not set(key) & set("*?[]^\\ ")
    assert keys.user_rooms(one).count("{") == keys.user_rooms(one).count("}") == 1
    assert keys.user_rooms(one).startswith("user:{")
    assert keys.user_rooms(one).endswith("}:rooms")


@given(USER_IDS, ROOM_IDS)
def test_channels_of_rooms_users_and_instances_differ(user_id: str, room_id: str) -> None:
    """A user id that looks like a room or an instance gets no other channel."""
    every = {
        keys.user_channel(user_id),
        keys.user_channel(room_id),
        keys.room_channel(room_id),
        keys.instance_channel(room_id),
    }
    assert len(every) == 4 - (user_id == room_id)


IDS: list[tuple[Callable[..., str], int]] = [
    (keys.message_id, 3),
    (keys.external_room_id, 1),
    (keys.client_room_id, 2),
    (keys.body_hash, 4),
]


@pytest.mark.parametrize(("make", "arity"), IDS)
@given(data=st.data())
def test_ids_do_not_collide_by_joining(
    make: Callable[..., str], arity: int, data: st.DataObject
) -> None:
    """Two different lists of parts never give the same id."""
    text = data.draw(st.text("ab:1", max_size=6))
    cut = st.lists(st.integers(0, len(text)), min_size=arity - 1, max_size=arity - 1).map(sorted)

    def parts(at: list[int]) -> list[str]:
        edges = [0, *at, len(text)]
        return [text[i:j] for i, j in pairwise(edges)]

    one, other = parts(data.draw(cut)), parts(data.draw(cut))
    assert (make(*one) == make(*other)) == (one == other)


@given(TEXTS, TEXTS, TEXTS)
def test_ids_match_the_charset_and_their_kind(a: str, b: str, c: str) -> None:
    """Derived ids are valid ids of the protocol, and differ between kinds."""
    made = [
        keys.message_id(a, b, c),
        keys.direct_room_id(a, b),
        keys.external_room_id(a),
        keys.client_room_id(a, b),
        keys.body_hash(a, b),
    ]
    assert all(ID.fullmatch(one) and len(one) == 26 for one in made)
    assert len(set(made)) == len(made)


@given(USER_IDS, USER_IDS)
def test_a_direct_room_is_the_same_from_both_sides(one: str, other: str) -> None:
    """The order of the two users does not matter."""
    assert keys.direct_room_id(one, other) == keys.direct_room_id(other, one)
