"""Parsing and writing of Socket.IO packets."""

from __future__ import annotations

import json
from typing import Any

import pytest
from engineio import packet as eio
from hypothesis import example, given
from hypothesis import strategies as st

from rts_server.engine import codec, frames
from rts_server.engine.frames import Frame, Malformed, parse
from rts_server.engine.packets import ack_packet, connect_error_packet, event_packet

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=10,
)
NAMESPACES = st.sampled_from(["/", "/chat", "/presence", "/a/b", "/ä"])
ACK_IDS = st.none() | st.integers(0, frames.MAX_ACK_ID)
LIKELY = st.text('0123456789-/,?[]{}"\\abntfu: \n²é\ud800', max_size=40)


def wire(kind: int, namespace: str, ack_id: int | None, data: str) -> str:
    """A packet as python-socketio encodes it."""
    prefix = "" if namespace == "/" else namespace + ","
    return f"{kind}{prefix}{'' if ack_id is None else ack_id}{data}"


@given(st.text() | LIKELY)
@example("2" + "[" * 100_000)
@example('2["\ud800"]')
@example("51-/chat,99999999999[]")
@example("0" + "/" * 300)
def test_any_text_is_a_frame_or_malformed(text: str) -> None:
    """The parser raises nothing else, and each frame is within its bounds."""
    try:
        frame = parse(text)
    except Malformed:
        return
    assert frame.type == int(text[0])
    assert frame.namespace.startswith("/")
    assert frame.ack_id is None or 0 <= frame.ack_id <= frames.MAX_ACK_ID
    assert not (frame.broken and frame.data is not None)


@given(st.integers(0, 4), NAMESPACES, ACK_IDS, JSON.map(lambda value: [value]) | st.none())
def test_valid_packets_are_parsed(
    kind: int, namespace: str, ack_id: int | None, data: list[Any] | None
) -> None:
    """Type, namespace, ack id and JSON of an encoded packet are parsed unchanged."""
    text = wire(kind, namespace, ack_id, "" if data is None else json.dumps(data))
    assert parse(text) == Frame(kind, namespace, ack_id, data)


TABLE = {
    "0": Frame(0, "/", None, None),
    "0/chat": Frame(0, "/chat", None, None),
    "0/chat,": Frame(0, "/chat", None, None),
    '0/chat?token=x,{"a":1}': Frame(0, "/chat", None, {"a": 1}),
    "1/chat,": Frame(1, "/chat", None, None),
    "2[]": Frame(2, "/", None, []),
    '2/chat,12["a",{}]': Frame(2, "/chat", 12, ["a", {}]),
    "2/chat,0[null]": Frame(2, "/chat", 0, [None]),
    "3/chat,2147483647[]": Frame(3, "/chat", 2147483647, []),
    "2null": Frame(2, "/", None, None),
    '51-/chat,5["a",{"_placeholder":true,"num":0}]': Frame(
        5, "/chat", 5, ["a", {"_placeholder": True, "num": 0}]
    ),
    "2[NaN]": Frame(2, "/", None, None, broken=True),
    "2[1e400]": Frame(2, "/", None, None, broken=True),
    "2[Infinity]": Frame(2, "/", None, None, broken=True),
    '2["\\ud800"]': Frame(2, "/", None, None, broken=True),
    "2[1,]": Frame(2, "/", None, None, broken=True),
    "2[": Frame(2, "/", None, None, broken=True),
    "2/chat,7{": Frame(2, "/chat", 7, None, broken=True),
    "2[] []": Frame(2, "/", None, None, broken=True),
}


@pytest.mark.parametrize(("text", "frame"), TABLE.items())
def test_packets_of_the_protocol(text: str, frame: Frame) -> None:
    """A packet with broken JSON keeps its envelope, so that it can be answered."""
    assert parse(text) == frame


@pytest.mark.parametrize(
    "text",
    ["", "7", "9[]", "x", "²[]", "2²[]", "2/chat[]x\u0000y", "2/chat,12345678901[]",
     "2/chat,2147483648[]", "2/" + "x" * 201 + ",[]", "2\n[]", "-2[]", "2x", "212x", " 2[]"],
)  # fmt: skip
def test_malformed_packets_are_refused(text: str) -> None:
    """The type is missing or unknown, the ack id too large, or the namespace too long."""
    if text.startswith("2/chat["):
        assert parse(text).namespace != "/chat"
    else:
        with pytest.raises(Malformed):
            parse(text)


@given(NAMESPACES, st.integers(0, frames.MAX_ACK_ID), st.dictionaries(st.text("ab"), JSON))
def test_written_packets_can_be_parsed_by_any_client(
    namespace: str, ack_id: int, answer: dict[str, Any]
) -> None:
    """Events, acks and connect errors can be parsed by any client."""
    event = event_packet(namespace, "a.b", codec.dumps(answer))
    assert parse(event.data) == Frame(frames.EVENT, namespace, None, ["a.b", answer])
    ack = ack_packet(namespace, ack_id, answer)
    assert parse(ack.data) == Frame(frames.ACK, namespace, ack_id, [answer])
    error = connect_error_packet(namespace, "Why?", "code")
    told = {"message": "Why?", "data": {"code": "code"}}
    assert parse(error.data) == Frame(frames.CONNECT_ERROR, namespace, None, told)
    assert event.encode() == "4" + event.data
    assert eio.Packet(encoded_packet=ack.encode()).data == ack.data


@given(JSON)
def test_the_codec_is_strict_both_ways(value: Any) -> None:
    """It reads what it writes, and refuses what another strict parser refuses."""
    assert codec.loads(codec.dumps(value)) == value
    assert json.loads(codec.dumps(value, separators=(",", ":"))) == value


@pytest.mark.parametrize("text", ["NaN", "-Infinity", "1e999", '"\\ud800"', "{'a':1}", "[1,]", ""])
def test_the_codec_refuses_what_is_not_json(text: str) -> None:
    """RFC 8259 is stricter than Python's json module."""
    with pytest.raises(ValueError, match=r"."):
        codec.loads(text)


@given(st.sampled_from([2, 5]), NAMESPACES, ACK_IDS, st.text(max_size=20) | st.just("room.list"))
def test_the_head_of_a_large_command_has_namespace_and_ack_id(
    kind: int, namespace: str, ack_id: int | None, name: str
) -> None:
    """The beginning of a large command has its namespace and ack id."""
    whole = wire(kind, namespace, ack_id, json.dumps([name, {"text": "x" * 1_000}]))
    frame = frames.parse_head(whole[:512])
    if ack_id is None:
        assert frame is None
    else:
        assert frame is not None
        assert frame[:3] == (kind, namespace, ack_id)
        assert frame.large
        assert frame.data in ([], [name])


@pytest.mark.parametrize("text", ["", "0/chat,{", "3/chat,1[", "2/chat,99999999999[", "2/chat,1{"])
def test_the_head_of_any_other_packet_needs_no_answer(text: str) -> None:
    """Acks, namespaces without an id and broken ids have no answer."""
    assert frames.parse_head(text) is None
