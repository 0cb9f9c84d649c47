"""What the functions write for a message, in units of DynamoDB (docs/cost.md)."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from lambdas import tables
from lambdas.chat_message_to_db.handler import lambda_handler as message_handler
from lambdas.chat_room_to_db.handler import lambda_handler as room_handler
from tests.helpers import aws
from tests.helpers.lambda_batches import OK
from tests.helpers.record_samples import ROOM, added, changed, cursors, new, reacted, room
from tests.helpers.write_units import WriteUnits, counted

pytestmark = pytest.mark.usefixtures("tables")
NUMBERS = count()


def written(*bodies: str, by: Any = message_handler) -> WriteUnits:
    with counted() as units:
        assert by(aws.event(*bodies), None) == OK
    return units


def sent(seq: int, room_id: str, sender: str = "alice") -> str:
    """The record of a message of 200 characters, with an id as long as real ones."""
    return new(1, seq + 2, seq, f"{seq:026d}", room_id=room_id, sender=sender, text="t" * 200)


@pytest.fixture
def room_id() -> str:
    """A room as a client makes it, with 2 KB of metadata and its first message."""
    made = f"{next(NUMBERS):026d}"
    about = room(1, 1, room_id=made, metadata={"about": "x" * 2_000})
    assert room_handler(aws.event(about, added(1, 2, "alice", "bob", room_id=made)), None) == OK
    assert message_handler(aws.event(sent(1, made)), None) == OK
    return made


def test_a_message_alone_costs_three_units(room_id: str) -> None:
    """Itself, the head of its room and its sender's cursor; neither an index nor metadata."""
    units = written(sent(2, room_id))
    assert units.units == {"chat-messages": 1, "chat-rooms": 2, "chat-rooms/by-user": 0}


def test_every_twelfth_message_files_a_block_of_ids(room_id: str) -> None:
    """So messages alone cost three units and a twelfth of one each, whatever the room has."""
    written(sent(2, room_id))
    units = [written(sent(seq, room_id)).total for seq in range(3, 15)]
    assert sum(units) == 12 * 3 + 1
    assert units[12 - 3] == 4


@pytest.mark.parametrize("first", [2, 3, 12])
def test_ten_of_a_room_cost_thirteen_units(room_id: str, first: int) -> None:
    """They share the rest: the head, the cursor, and at most one full block of ids to file."""
    units = written(*(sent(seq, room_id) for seq in range(first, first + 10)))
    assert units.units["chat-messages"] == 10
    assert units.total <= 13
    assert units.calls["GetItem"] == 1
    assert units.calls["UpdateItem"] == units.total


def test_each_sender_of_a_batch_has_a_cursor(room_id: str) -> None:
    """Ten messages of ten senders cost ten cursors, each of which may be anywhere before."""
    units = written(*(sent(seq, room_id, f"user-{seq}") for seq in range(2, 12)))
    assert units.units == {
        "chat-messages": 10,
        "chat-rooms": 11,
        "chat-rooms/by-user": 0,
    }


def test_an_edit_costs_itself_and_the_head(room_id: str) -> None:
    """Also of a message that is not the last one."""
    assert message_handler(aws.event(sent(2, room_id)), None) == OK
    edit = changed("message.updated", 1, 9, 1, f"{1:026d}", 2, text="y" * 200)
    assert written(edit.replace(ROOM, room_id)).total == 2


def test_a_reaction_costs_its_difference(room_id: str) -> None:
    """Also of a message of 64 KB: the item beside it, and the head."""
    full = new(1, 9, 2, "full", room_id=room_id, text="x" * 65_000)
    assert message_handler(aws.event(full), None) == OK
    for version, user in enumerate(("alice", "bob"), 2):
        reaction = reacted(1, 9 + version, "full", version, user).replace(ROOM, room_id)
        assert written(reaction).units == {
            "chat-messages": 1,
            "chat-rooms": 1,
            "chat-rooms/by-user": 0,
        }


def test_a_repeated_message_costs_what_it_finds(room_id: str) -> None:
    """The head has it already: only refused writes are charged, of the message and the cursor."""
    assert written(sent(1, room_id)).units["chat-rooms"] == 1


def test_both_cursors_of_a_member_cost_one_unit(room_id: str) -> None:
    """They are one write, and the index by user has no cursors."""
    moved = cursors(("bob", 1, 1)).replace(ROOM, room_id)
    assert written(moved, by=room_handler).units == {"chat-rooms": 1, "chat-rooms/by-user": 0}


def test_a_cursor_that_the_table_is_ahead_of_leaves_the_other_to_be_raised(room_id: str) -> None:
    """A message may have raised the read cursor meanwhile."""
    for moved in (("bob", 5, 5), ("bob", 3, 7), ("bob", 3, 6)):
        written(cursors(moved).replace(ROOM, room_id), by=room_handler)
    key = {"room_id": room_id, "sk": "MEMBER#bob"}
    item: Any = tables.client().get_item(TableName="chat-rooms", Key=key)["Item"]
    assert (item["read_seq"], item["delivered_seq"]) == (5, 7)
