"""Records through the real handlers: any order and repetition gives the same tables."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lambdas.chat_message_to_db import handler as messages
from lambdas.chat_room_to_db import handler as rooms
from lambdas.tables import client
from rts_server.persistence import records, stored_items
from tests.helpers import aws
from tests.helpers import record_samples as samples
from tests.helpers.record_samples import added, barrier, changed, failed, new, reacted, record, room

STORY: list[tuple[str, str]] = [
    ("r", room(2, 1)),
    ("r", added(2, 2, "alice", "bob")),
    ("m", new(1, 5, 1, "m1")),
    ("m", new(1, 6, 2, "m2", sender="bob")),
    ("m", new(1, 7, 3, "m3")),
    ("m", new(2, 3, 4, "m3")),
    ("m", barrier("nonce")),
    ("m", new(2, 4, 5, "m5")),
    ("m", failed(2, 9, 5, "m5")),
    ("m", new(2, 5, 6, "m6", kind="system")),
    ("m", new(2, 6, 7, "m7", sender="carol")),
    ("m", failed(2, 10, 1_001, "never-seen")),
    ("m", failed(2, 11, 1_002, "never-seen")),
    ("m", new(2, 12, 8, "m8")),
    ("m", changed("message.updated", 2, 13, 8, "m8", 2)),
    ("m", changed("message.updated", 2, 14, 8, "m8", 3, text="third")),
    ("m", new(2, 15, 9, "m9", sender="bob")),
    ("m", changed("message.deleted", 2, 16, 9, "m9", 2, text="")),
    ("m", changed("message.updated", 2, 17, 9, "m9", 3)),
    ("m", failed(2, 18, 10, "m10")),
    ("m", changed("message.deleted", 2, 19, 10, "m10", 2)),
    ("r", added(2, 4, "bob", "frank", kind="member.removed")),
    ("r", added(2, 3, "frank", "grace", name="erased")),
    ("r", added(2, 9, "grace", kind="member.removed")),
    ("r", added(1, 99, "alice", kind="member.removed")),
    ("r", added(2, 7, "bob", "carol", seq=6, name="first")),
    ("r", added(1, 8, "dave")),
    ("r", room(2, 8, "room.updated", name=None, version=2)),
    ("r", room(1, 9, "room.updated", name="old", version=9)),
    ("m", reacted(2, 20, "m8", 4, "bob")),
    ("m", reacted(2, 21, "m8", 5, "bob", on=False)),
    ("m", reacted(2, 24, "m7", 2, "alice")),
    ("m", reacted(2, 25, "m9", 4, "bob")),
    ("m", new(2, 22, 13, "m13")),
    ("m", new(2, 23, 25, "m25")),
    ("r", added(2, 8, "bob", kind="member.updated", role="admin")),
    ("r", added(2, 5, "grace", kind="member.updated", name="erased too")),
    ("r", added(2, 9, "carol", kind="member.updated", role="owner", name="second")),
    ("r", added(2, 10, "carol", kind="member.updated", role="readonly", name="third")),
    ("r", added(1, 50, "alice", kind="member.updated", role="owner")),
    ("r", samples.settings(2, 9, 1, "bob", muted=True)),
    ("r", samples.settings(2, 9, 2, "bob", hidden=True)),
    ("r", samples.settings(2, 5, 7, "bob", muted=True)),
    ("r", samples.cursors(("bob", 12, 13), ("alice", 1, 4))),
    ("r", samples.cursors(("bob", 11, 14), ("carol", 2, 2))),
]
NAMES = count()


def apply(given_records: Iterable[tuple[str, str]], room_id: str, size: int = 10) -> None:
    """Apply records by both functions, in batches, under another room id."""
    lines = [(queue, body.replace(samples.ROOM, room_id)) for queue, body in given_records]
    for queue, function in (("m", messages.lambda_handler), ("r", rooms.lambda_handler)):
        bodies = [body for name, body in lines if name == queue]
        for at in range(0, len(bodies), size):
            answer = function(aws.event(*bodies[at : at + size]), None)
            assert answer == {"batchItemFailures": []}


def stored_items_text(room_id: str) -> str:
    both = [aws.items(table, room_id) for table in ("chat-rooms", "chat-messages")]
    text = json.dumps(both, default=_plain, sort_keys=True)
    return text.replace(room_id, samples.ROOM)


def _plain(value: Any) -> Any:
    return sorted(map(int, value)) if isinstance(value, set) else int(value)


def open_room(epoch: int = 2) -> str:
    room_id = f"r{next(NAMES):05d}"
    key = records.room_key(room_id)
    client().put_item(TableName="chat-rooms", Item={**key, "epoch": epoch})
    return room_id


@pytest.fixture(scope="module")
def straight(tables: None) -> str:
    room_id = open_room()
    apply(STORY, room_id, size=1)
    return stored_items_text(room_id)


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    first=st.permutations(STORY),
    again=st.lists(st.sampled_from(STORY), max_size=8),
    size=st.integers(1, 10),
)
def test_any_order_and_repetition_gives_the_same_tables(
    straight: str, first: list[tuple[str, str]], again: list[tuple[str, str]], size: int
) -> None:
    """Permutation, repetition and batching of records do not change the tables (D8, Q4)."""
    room_id = open_room()
    apply([*first, *again], room_id, size)
    assert stored_items_text(room_id) == straight


def test_a_sequence_of_records_gives_these_tables(straight: str) -> None:
    """Every rule for records shows in the tables."""
    room_items, message_items = json.loads(straight)
    by_sk = {one["sk"]: one for one in room_items}
    by_id = {one["message_id"]: one for one in message_items}
    room_item, head = by_sk["ROOM"], by_sk["HEAD"]
    assert (room_item["epoch"], room_item["version"], room_item["barrier"]) == (2, 2, "nonce")
    assert "name" not in room_item
    assert (room_item["members"], room_item["members_pos"]) == (210, records.position(2, 10))
    assert (head["seq"], head["block"]) == (1_002, records.position(2, 24))
    blocks = {sk: item for sk, item in by_sk.items() if sk.startswith("INDEX#")} | {"HEAD": head}
    slots = {
        sk: {name: value for name, value in item.items() if re.fullmatch(r"m\d+", name)}
        for sk, item in blocks.items()
    }
    assert slots == {
        f"INDEX#{records.position(1, 0)}": {"m1": "m1", "m2": "m2", "m3": "m3"},
        f"INDEX#{records.position(2, 0)}": {f"m{n}": f"m{n}" for n in range(5, 10)} | {"m4": "m3"},
        f"INDEX#{records.position(2, 12)}": {"m1": "m13"},
        "HEAD": {"m1": "m25"},
    }
    assert head["head"] == records.position(2, 25)
    assert json.loads(head["last"])["message_id"] == "m25"
    assert by_sk["DELETED#0000000000"]["seqs"] == [5, 6, 9, 10]
    assert by_sk["DELETED#0000000005"]["seqs"] == [1_001, 1_002]
    assert "MEMBER#dave" not in by_sk
    bob, carol = by_sk["MEMBER#bob"], by_sk["MEMBER#carol"]
    assert (bob["state"], bob["join_seq"], bob["read_seq"]) == ("in", 6, 12)
    assert (carol["join_seq"], carol["read_seq"]) == (6, 7)
    assert [by_sk[f"MEMBER#{user}"]["role"] for user in ("alice", "bob", "carol")] == [
        "member",
        "admin",
        "readonly",
    ]
    assert [by_sk[f"MEMBER#{user}"].get("name") for user in ("carol", "frank", "grace")] == [
        "third",
        None,
        None,
    ]
    assert (bob["muted"], bob["hidden"]) == (False, True)
    assert [by_sk[f"MEMBER#{user}"]["delivered_seq"] for user in ("alice", "bob", "carol")] == [
        4,
        14,
        2,
    ]
    assert (by_id["m3"]["epoch"], by_id["m3"]["seq"]) == (2, 4)
    assert by_id["m3"]["position"] == records.position(2, 4)
    assert json.loads(by_id["m3"]["body"])["seq"] == 4
    assert by_id["m5"]["failed"] is True
    whole = {name: one.message for name, one in stored_items.messages(message_items).items()}
    m7, m8 = whole["m7"], whole["m8"]
    assert (m8["text"], m8["version"], m8["reactions"]) == ("third", 5, {})
    assert "bob" not in json.dumps(by_id["m8#reactions"])
    assert (m7["version"], m7["reactions"]) == (2, {"+": {"count": 1, "user_ids": ["alice"]}})
    assert by_id["m9#reactions"].keys() == {"room_id", "message_id", "closed"}
    assert (by_id["m9"]["position"], json.loads(by_id["m9"]["body"])["text"]) == (
        records.position(2, 9),
        "",
    )
    assert by_id["m10"]["failed"] is True
    states = {sk: item["state"] for sk, item in by_sk.items() if "state" in item}
    assert states == {
        f"MEMBER#{user}": "out" if user in ("frank", "grace") else "in"
        for user in ("alice", "bob", "carol", "frank", "grace")
    }
    assert "position" not in by_id["m5"]
    assert "text" not in json.loads(by_id["m5"]["body"])
    assert (by_id["never-seen"]["failed"], by_id["never-seen"]["seq"]) == (True, 1_002)


@pytest.mark.usefixtures("tables")
def test_a_cursor_alone_makes_no_member() -> None:
    """A sender's read cursor may be stored before the membership, and is not one."""
    room_id = open_room()
    apply([("m", new(2, 1, 3, sender="eve"))], room_id)
    item = aws.item("chat-rooms", room_id, "MEMBER#eve")
    assert item is not None
    assert int(item["read_seq"]) == 3
    assert not {"user_id", "state"} & item.keys()


@pytest.mark.usefixtures("tables")
def test_rooms_and_members_of_an_older_epoch_are_refused() -> None:
    """They were never acked and their origin repeats them: they are dropped and count as done."""
    room_id = open_room(epoch=3)
    apply([("r", room(2, 1)), ("r", added(2, 2, "alice"))], room_id)
    assert aws.items("chat-rooms", room_id) == [{**records.room_key(room_id), "epoch": 3}]


@pytest.mark.usefixtures("tables")
def test_watermarks_are_written_once_in_a_batch() -> None:
    """The head of the room and the cursor of the sender, whatever the number of messages."""
    done: list[tuple[str, str]] = []

    def note(params: dict[str, Any], **_: Any) -> None:
        body = json.loads(params["body"])
        done.append((body["TableName"], body["Key"].get("sk", {"S": ""})["S"]))

    room_id = open_room()
    events = client().meta.events
    events.register("before-call.dynamodb.UpdateItem", note)
    apply([("m", new(2, 1, 1)), ("m", new(2, 2, 2)), ("m", new(2, 3, 3))], room_id)
    events.unregister("before-call.dynamodb.UpdateItem", note)
    messages = [("chat-messages", "")] * 3
    assert sorted(done) == [*messages, ("chat-rooms", "HEAD"), ("chat-rooms", "MEMBER#alice")]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: "{",
        lambda _: "[]",
        lambda _: "null",
        lambda body: body.replace('"v": 1', '"v": 2'),
        lambda body: body.replace("message.new", "message.sung"),
        lambda body: body.replace('"seq": 1', '"seq": NaN'),
        lambda body: body.replace('"seq": 1', '"seq": "1"'),
        lambda body: body.replace('"seq": 1', f'"seq": {10**12}'),
        lambda body: body.replace("text of m1", "\\ud800"),
        lambda body: body.replace('"room_id": "room-1", "seq"', '"room_id": "room-2", "seq"'),
        lambda body: body.replace('"room_id": "room-1"', '"room_id": "room 1"'),
        lambda body: body.replace('"message_id"', '"massage_id"'),
        lambda _: '{"v": 1}',
        lambda _: '{"v": 1, "event": ' + "[" * 100_000 + "]" * 100_000 + "}",
    ],
)
def test_an_invalid_record_is_poison(spoil: Callable[[str], str]) -> None:
    """Broken JSON, unknown kinds and versions, invalid fields; the reason holds no text."""
    with pytest.raises(records.Poison) as caught:
        records.parse(spoil(new(1, 1, 1)), records.MESSAGE_KINDS)
    assert "text of" not in caught.value.reason


def test_unknown_fields_are_kept() -> None:
    """A record of a newer version with more fields is applied, its message stored as a whole."""
    body = new(1, 1, 1, later={"a": [1]}).replace('"v": 1', '"v": 1, "trace": "x"')
    step = records.decide(records.parse(body, records.MESSAGE_KINDS), records.MESSAGE_KINDS)[0]
    assert isinstance(step, records.Write)
    stored = json.loads(step.given["ExpressionAttributeValues"][":body"])
    assert stored["later"] == {"a": [1]}


def test_a_kind_of_the_other_queue_is_poison() -> None:
    """A message in the room queue would not raise its room's watermarks; it is not applied."""
    with pytest.raises(records.Poison):
        records.parse(new(1, 1, 1), records.ROOM_KINDS)


def test_a_quarantine_entry_names_the_recognized_fields() -> None:
    """The entry holds reason, record and position, and stays below the limit of SQS."""
    entry = json.loads(records.quarantine_entry(new(3, 4, 5, "m5"), "why"))
    assert entry.pop("record") == new(3, 4, 5, "m5")
    position = {"room_id": "room-1", "epoch": 3, "offset": 4, "seq": 5}
    assert entry == {
        "reason": "why",
        **position,
        "message_id": "m5",
        "client_msg_id": "c-m5",
    }
    assert records.recognized_fields(record("x", 1, 2, {"message": 3, "seq": True})) == {
        "room_id": "room-1",
        "epoch": 1,
        "offset": 2,
    }
    assert len(records.quarantine_entry("\U0001f600" * 10**6, "why")) < 2**20


@given(st.tuples(st.integers(0, 10**10 - 1), st.integers(0, 10**10 - 1)))
def test_positions_sort_as_pairs(place: tuple[int, int]) -> None:
    """The text of a position sorts like the pair and can be parsed back."""
    assert records.parse_position(records.position(*place)) == place
    assert records.position(*place) < records.final_key(0, 0)


def test_records_needs_only_the_standard_library_and_marshmallow() -> None:
    """The package in the Lambdas' zips imports nothing else."""
    code = (
        "import sys, rts_server.persistence.records as r;"
        "print(sorted({n.split('.')[0] for n in sys.modules} & {'boto3', 'redis', 'aiohttp'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
