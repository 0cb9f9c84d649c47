"""What is sent to append.lua for a request, and what its library keeps between calls."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import orjson
import pytest
from redis.asyncio import Redis

from rts_server.config import Settings
from rts_server.roomlog.member_events import member_added
from rts_server.roomlog.message_events import message_edited
from rts_server.roomlog.request import AppendRequest
from rts_server.roomlog.room_events import empty_append, settings_changed
from rts_server.roomlog.script import APPEND
from rts_server.roomlog.template import Slot, placeholder
from tests.helpers.bench import Bench, append, failed, message
from tests.helpers.scripts import changed_script

SETTINGS = Settings(jwt_secret="x")
FIELDS = 11
"""The argument that holds the fields a plain message has not; then it is the last."""


def fields(request: AppendRequest) -> Any:
    """The fields of a request beside the arguments that all have; None for a plain message."""
    argument, *rest = append(request, SETTINGS)[1][FIELDS:]
    return None if rest else orjson.loads(str(argument))


def edited() -> AppendRequest:
    """A request that edits a message."""
    before: Any = {"message_id": "x", "room_id": "r", "version": 1, "sender_id": "alice", "seq": 1}
    before |= {"type": "text", "text": "t", "created_at": "now"}
    return message_edited(before, 1, "alice", {"text": "u"})


@pytest.mark.parametrize(
    "request_",
    [message("r", "alice"), replace(message("r", "alice"), roles=None, actor="alice")],
    ids=["of a member", "of an operator"],
)
def test_a_message_is_sent_without_json_to_decode(request_: AppendRequest) -> None:
    """Its event comes as two pieces, between which Redis writes what only it knows."""
    assert fields(request_) is None


@pytest.mark.parametrize(
    "request_",
    [
        replace(message("r", "alice"), replay_of=(1, 2)),
        replace(message("r", "alice"), allow_frozen=True),
        replace(message("r", "alice"), actor="bob"),
        replace(message("r", "alice"), events=message("r", "alice").events * 2),
        member_added("r", "alice", ["bob"], "member"),
        settings_changed("r", "alice", {"muted": True}),
        failed("r", "m", 1),
        edited(),
        empty_append("r"),
    ],
    ids=["replay", "unfrozen", "for another", "two", "add", "mute", "fail", "edit", "empty"],
)
def test_everything_else_is_sent_with_its_fields(request_: AppendRequest) -> None:
    """A plain message has none of them."""
    assert fields(request_)["events"] is not None


async def test_a_message_is_the_same_with_and_without_json(bench: Bench) -> None:
    """What a plain message writes is what the same event writes among other fields."""
    text = "100 % of 5 %s, %d and %%\x01\\u00011 \x00"
    written = []
    for allow_frozen in (False, True):
        await bench.redis.flushall()
        room_id = await bench.group("alice", "bob")
        await bench.append(replace(message(room_id, "alice", text=text), allow_frozen=allow_frozen))
        head, events = await bench.head(room_id), await bench.events(room_id)
        record = (await bench.outbox(room_id))[-1]
        assert events[-1]["data"]["message"]["text"] == text
        times = re.compile(rb'"\d{4}-[^"]*Z"|\d{13}')
        kept = (head[b"last"], head[b"shape"], record[b"d"], record[b"k"], record[b"q"])
        written.append([times.sub(b"", one) for one in kept])
    assert written[0] == written[1]


def test_no_value_of_a_call_is_left_for_the_next() -> None:
    """The library's locals outlive a call, so `begin` sets all but constants and functions."""
    declared: set[str] = set()
    for line in re.findall(r"^local ([a-z_, ]+?)(?: =.*| *--.*)?$", APPEND.text, re.MULTILINE):
        declared |= {name.strip() for name in line.split(",")}
    begin = APPEND.text.partition("local function begin(")[2].partition("\nend\n")[0]
    lists = re.findall(r"^  ([a-z][a-z_, ]*) =", begin, re.MULTILINE)
    assigned = {name.strip() for names in lists for name in names.split(",")}
    kept_on_purpose = {
        "instance_text",
        "instance",
        "req",
        "head_fields",
        "held",
        "held_at",
        "texts",
        "second",
        "text_of_second",
    }
    assert declared - assigned == kept_on_purpose
    assert len(assigned) > 20


def test_a_message_whose_marks_are_elsewhere_is_not_sent() -> None:
    """append.lua writes position and time of a plain message at one place, and nowhere else."""
    good = message("r", "alice")
    (event,) = good.events
    moved: Any = event.message | {"seq": 1, "later": placeholder(Slot.SEQ)}
    for data in ({"message": moved}, {"message": {"first": 1} | event.message}):
        wrong: Any = data
        bad = replace(good, events=(replace(event, data=wrong),))
        with pytest.raises(ValueError, match="marks"):
            append(bad, SETTINGS)


async def test_a_call_that_failed_halfway_leaves_nothing_for_the_next(bench: Bench) -> None:
    """An error inside the function, then a call for another room."""
    one, other = await bench.group("alice"), await bench.group("bob", room="h")
    await bench.redis.config_set("maxmemory", 1)
    try:
        with pytest.raises(Exception, match="maxmemory"):
            await bench.append(member_added(one, "alice", ["x"], "member"))
    finally:
        await bench.redis.config_set("maxmemory", 0)
    answer = await bench.append(message(other, "bob"))
    assert answer[:1] + answer[7:] == ["ok", b"pending", 0]


async def test_limits_of_one_instance_are_not_those_of_another(bench: Bench) -> None:
    """The parsed settings are kept between calls, and read again when they are others."""
    room_id = await bench.group("alice")
    small = replace(bench, settings=replace(bench.settings, outbox_cap=1))
    for n in range(2):
        assert await small.outcome(message(room_id, "alice", f"s{n}")) == "full"
        assert await bench.outcome(message(room_id, "alice", f"b{n}")) == "ok"


async def test_two_releases_have_libraries_of_their_own(redis: Redis) -> None:
    """The name of the library follows from its source."""
    other = changed_script(APPEND, "'pending',", "'other',")
    for script in (APPEND, other):
        await redis.execute_command(*script.load_command)  # type: ignore[no-untyped-call]
    listed: Any = await redis.function_list("rts_append_*")
    names = {library[b"library_name"].decode() for library in map(as_dict, listed)}
    assert names >= {APPEND.name, other.name}
    assert APPEND.name != other.name


def as_dict(flat: Any) -> dict[bytes, Any]:
    """A reply of FUNCTION LIST as a dict; RESP2 sends pairs one after the other."""
    return flat if isinstance(flat, dict) else dict(zip(flat[::2], flat[1::2], strict=True))
