"""Queues and dead-letter queues as operators see and replay them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from rts_server.persistence.queues import dead_letter_queue
from rts_server.relay.queue_admin import dead_record, in_order
from rts_server.tools.dev import aws
from tests.helpers.record_samples import changed, new
from tests.helpers.rest import Rest, group, member
from tests.helpers.waiting import until
from tests.helpers.world import World, name, placed


def test_replayed_records_keep_the_order_of_each_room() -> None:
    """By epoch and offset; records without a position come behind their room."""
    given = [new(1, 3, 2), new(2, 1, 4, room_id="b"), new(1, 2, 1), "nonsense", new(1, 9, 3)]
    batch: list[Any] = [{"Body": body} for body in given]
    told = [json.loads(one["Body"])["event"] for one in in_order(batch) if "event" in one["Body"]]
    assert [(e["room_id"], e["epoch"], e["offset"]) for e in told] == [
        ("b", 2, 1),
        ("room-1", 1, 2),
        ("room-1", 1, 3),
        ("room-1", 1, 9),
    ]


@pytest.mark.parametrize(
    ("body", "kind", "room_id"),
    [
        (new(1, 2, 1), "message.new", "room-1"),
        (changed("message.updated", 1, 2, 1, "m1", 2), "message.updated", "room-1"),
        (
            json.dumps({"v": 9, "event": {"type": "room.danced", "room_id": "r"}}),
            "room.danced",
            "r",
        ),
        (json.dumps({"v": 1, "barrier": {"room_id": "r", "epoch": 1}}), "barrier", "r"),
        (json.dumps({"v": 1, "event": {"type": 7}}), "unreadable", "group"),
        ("nonsense", "unreadable", "group"),
        ("[1]", "unreadable", "group"),
    ],
)
def test_a_dead_record_says_what_it_is(body: str, kind: str, room_id: str) -> None:
    """Its kind, and its room, by the message group if it cannot be parsed; never only its times."""
    attributes: Any = {"MessageGroupId": "group", "SentTimestamp": "7"}
    found = dead_record({"Body": body, "MessageId": "sqs-1", "Attributes": attributes})
    assert (found["kind"], found["room_id"], found["sqs_message_id"]) == (kind, room_id, "sqs-1")


async def test_dead_letters_are_listed_and_replayed(world: World, operator: Rest) -> None:
    """Records in the DLQ are listed by position, without texts, and reach the table after a
    replay."""
    room_id = await group(operator, member(name("alice")))
    settings = world.stack.settings
    sqs = aws.client(settings, "sqs")
    url = sqs.get_queue_url(QueueName=dead_letter_queue(settings.message_queue))["QueueUrl"]
    for n in (2, 1, 3):
        sqs.send_message(
            QueueUrl=url,
            MessageBody=new(1, 10 + n, 100 + n, room_id=room_id, text="secret words"),
            MessageGroupId=room_id,
            MessageDeduplicationId=f"{room_id}:{n}",
        )
    told = await operator.ok("GET", "/v1/queues")
    queues = {queue["name"]: queue for queue in told["queues"]}
    assert set(queues) >= {
        settings.message_queue,
        settings.room_queue,
        settings.cursor_queue,
        settings.quarantine_queue,
    }
    records = queues[dead_letter_queue(settings.message_queue)]["records"]
    assert sorted(one["offset"] for one in records if one["room_id"] == room_id) == [11, 12, 13]
    assert "secret" not in str(told)
    replayed = await operator.ok("POST", "/v1/queues/dlq:replay", {"queue": "messages"})
    assert replayed == {"replayed": 3, "left": 0}
    await asyncio.to_thread(until, lambda: placed(world, room_id) == 3)
    again = await operator.ok("POST", "/v1/queues/dlq:replay", {"queue": "messages"})
    assert again == {"replayed": 0, "left": 0}
    rooms = await operator.ok("POST", "/v1/queues/dlq:replay", {"queue": "rooms"})
    assert rooms == {"replayed": 0, "left": 0}
    assert (
        await operator.refused("POST", "/v1/queues/dlq:replay", {"queue": "x"}) == "invalid_param"
    )
