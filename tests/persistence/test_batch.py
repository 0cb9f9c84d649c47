"""What a batch of messages writes at once, what in order, and which records return."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lambdas import tables
from lambdas.chat_message_to_db.handler import lambda_handler as message_handler
from rts_server.persistence import records
from tests.helpers import aws
from tests.helpers.lambda_batches import OK, failing, fault
from tests.helpers.record_samples import ROOM, barrier, changed, new

pytestmark = pytest.mark.usefixtures("tables")
Write = tuple[str, str]
"""(table, sort key) of a write."""
TOGETHER_SECONDS = 30.0
"""How long a write waits for the others that are to be on their way with it."""


@contextmanager
def each_write(note: Callable[[Write], object]) -> Iterator[None]:
    """Call `note` before each write, in its thread."""

    def before(params: dict[str, Any], **_: Any) -> None:
        body = json.loads(params["body"])
        name = "message_id" if body["TableName"] == "chat-messages" else "sk"
        note((body["TableName"], body["Key"][name]["S"]))

    events = tables.client().meta.events
    events.register("before-call.dynamodb.UpdateItem", before)
    try:
        yield
    finally:
        events.unregister("before-call.dynamodb.UpdateItem", before)


def writes_of(*bodies: str) -> list[Write]:
    """The writes of a batch, in the order in which they begin."""
    begun: list[Write] = []
    with each_write(begun.append):
        assert message_handler(aws.event(*bodies), None) == OK
    return begun


def test_the_messages_of_a_room_are_written_at_once() -> None:
    """No message waits for another, nor for a watermark: all twelve are on their way together."""
    together = threading.Barrier(12)

    def meet(_: Write) -> None:
        together.wait(TOGETHER_SECONDS)

    bodies = [new(1, seq, seq, room_id="busy") for seq in range(1, 11)]
    with each_write(meet):
        assert message_handler(aws.event(*bodies), None) == OK
    assert len(aws.items("chat-messages", "busy")) == 10


def test_rooms_do_not_wait_for_each_other() -> None:
    """The watermarks of several rooms are written at once, and so are their messages."""
    together = threading.Barrier(5)

    def meet(write: Write) -> None:
        if write[1] == "MEMBER#alice" or write[0] == "chat-messages":
            together.wait(TOGETHER_SECONDS)

    bodies = [new(1, 1, 1, room_id=f"side-{n}") for n in range(5)]
    with each_write(meet):
        assert message_handler(aws.event(*bodies), None) == OK


def test_a_change_is_written_behind_its_message() -> None:
    """The records of one message keep their order: one write each, none of them refused."""
    edit = changed("message.updated", 1, 2, 1, "m1", 2, text="b")
    bodies = [new(1, 1, 1), edit, new(1, 3, 2)]
    begun = writes_of(*(body.replace(ROOM, "edited") for body in bodies))
    assert sorted(key for table, key in begun if table == "chat-messages") == ["m1", "m1", "m2"]


def test_a_barrier_is_written_behind_what_is_before_it() -> None:
    """It shows that all of that is stored, and nothing of what follows need be (D1)."""
    bodies = [new(1, 1, 1), new(1, 2, 2), barrier("n"), new(1, 3, 3)]
    begun = writes_of(*(body.replace(ROOM, "walled") for body in bodies))
    order = [key for _, key in begun if key.startswith(("m", "ROOM"))][-4:]
    assert set(order[:2]) == {"m1", "m2"}
    assert order[2:] == ["ROOM", "m3"]


def test_a_barrier_waits_for_the_watermarks() -> None:
    """When it passes, no seq of the room is below those of the messages before it (D1)."""
    begun: list[Write] = []
    message_stored = threading.Event()

    def note(write: Write) -> None:
        if write[1] == "HEAD":  # the last of all that are written with the message
            assert message_stored.wait(TOGETHER_SECONDS)
        begun.append(write)

    def after(parsed: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        if begun[-1] == ("chat-messages", "m1"):
            message_stored.set()

    events = tables.client().meta.events
    events.register("after-call.dynamodb.UpdateItem", after)
    try:
        with each_write(note):
            batch = aws.event(new(1, 1, 1, room_id="late"), barrier("n", room_id="late"))
            assert message_handler(batch, None) == OK
    finally:
        events.unregister("after-call.dynamodb.UpdateItem", after)
    assert begun[-2:] == [("chat-rooms", "HEAD"), ("chat-rooms", "ROOM")]


def test_what_is_behind_a_failed_record_returns_with_it() -> None:
    """Also what is stored by then: FIFO keeps the order, and writing it again changes nothing."""
    batch = aws.event(*(new(1, seq, seq, room_id="half") for seq in (1, 2, 3)))
    slow = ClientError({"Error": {"Code": "ThrottlingException"}}, "UpdateItem")
    call = "before-call.dynamodb.UpdateItem"
    with fault(tables.client(), call, slow, lambda body: '"m2"' in body and "hash" in body):
        assert message_handler(batch, None) == failing(1, 2)
    before = aws.items("chat-messages", "half")
    assert [item["message_id"] for item in before] == ["m1", "m3"]
    assert message_handler(batch, None) == OK
    assert [one for one in aws.items("chat-messages", "half") if one["seq"] != 2] == before


def test_a_head_that_changed_meanwhile_is_read_again() -> None:
    """Two functions have records of a room after a timeout: neither undoes the other (D8)."""
    others = [[new(1, 1, 1, room_id="twice")], [new(1, 20, 20, room_id="twice")]]

    def overtake(parsed: dict[str, Any], **_: Any) -> None:
        if others:
            assert message_handler(aws.event(*others.pop()), None) == OK

    events = tables.client().meta.events
    events.register("after-call.dynamodb.GetItem", overtake)
    try:
        assert message_handler(aws.event(new(1, 2, 2, room_id="twice")), None) == OK
    finally:
        events.unregister("after-call.dynamodb.GetItem", overtake)
    head = aws.item("chat-rooms", "twice", "HEAD") or {}
    assert (head["seq"], head["m8"]) == (20, "m20")
    first = aws.item("chat-rooms", "twice", f"INDEX#{records.position(1, 0)}") or {}
    assert (first["m1"], first["m2"]) == ("m1", "m2")
