"""The quick check of payloads: what it accepts is what the schema would load."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from marshmallow import ValidationError

from rts_server.domain.size_limits import LIMITS
from rts_server.errors import MessageTooLarge
from rts_server.protocol import catalogue
from rts_server.protocol.commands import InputSchema, MessageSendSchema
from rts_server.protocol.plain_check import PlainCheck

SCHEMAS = sorted({spec.payload for spec in catalogue.COMMANDS.values()}, key=lambda s: s.__name__)
GOOD_TEXTS = {
    "type": ["direct", "group"],
    "role": ["owner", "member"],
    "state": ["online", "away"],
    "content_type": ["Text/PLAIN; charset=utf-8", "image/png"],
    "checksum_sha256": ["A" * 43 + "="],
}
OTHER_NAMES = ["unknown", "Room_id", "", "text", "members", "limit", "on"]
ODD_TEXTS = ["", " ", "a\n", "a\u202e", "x" * 65, "x" * (LIMITS.text_points + 1)]
ODD = (
    st.sampled_from(ODD_TEXTS)
    | st.text(max_size=8)
    | st.booleans()
    | st.integers(-1, 60)
    | st.integers()
    | st.floats()
    | st.none()
    | st.lists(st.sampled_from(["a", "", " ", "b"]), max_size=3)
    | st.dictionaries(st.text(max_size=3), st.integers(), max_size=2)
)


@st.composite
def payloads(draw: st.DrawFn) -> tuple[InputSchema, dict[str, Any]]:
    """Return a schema with a payload that is right but for a field or two, or right altogether."""
    schema = draw(st.sampled_from(SCHEMAS))()
    known = sorted(schema.fields)
    names = {name for name in known if schema.fields[name].required}
    names |= draw(st.sets(st.sampled_from(known), max_size=4)) if known else set()
    payload = {name: draw(_good(schema, name)) for name in sorted(names)}
    for name in draw(st.lists(st.sampled_from([*known, *OTHER_NAMES]), max_size=2)):
        payload[name] = draw(ODD)
    for name in draw(st.lists(st.sampled_from(known), max_size=1)) if known else ():
        payload.pop(name, None)
    return schema, payload


def _good(schema: InputSchema, name: str) -> st.SearchStrategy[Any]:
    """Return values that a field most likely accepts."""
    by_kind: dict[str, st.SearchStrategy[Any]] = {
        "StrictInteger": st.integers(1, 50),
        "StrictBoolean": st.booleans(),
        "BoundedList": st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=3),
        "BoundedDict": st.dictionaries(
            st.sampled_from(["r", "s"]), st.lists(st.integers(0, 9), min_size=2, max_size=4)
        ),
        "Metadata": st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
    }
    texts = st.sampled_from(GOOD_TEXTS.get(name, ["a", "bc"]))
    return by_kind.get(type(schema.fields[name]).__name__, texts)


def outcome(load: Any, payload: dict[str, Any]) -> tuple[str, Any]:
    """Return what loading a payload ends with."""
    try:
        return "accepted", load(payload)
    except ValidationError as error:
        return "refused", error.messages
    except MessageTooLarge as error:
        return "too large", error.details


@settings(max_examples=1_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(payloads())
def test_a_payload_is_loaded_or_refused_as_by_the_schema_alone(
    given_one: tuple[InputSchema, dict[str, Any]],
) -> None:
    """With and without the quick check, values, defaults and errors are the same."""
    schema, payload = given_one
    asked = dict(payload)
    found = outcome(schema.load, payload)
    assert found == outcome(schema.load_by_field, payload)
    assert types_of(found[1]) == types_of(outcome(schema.load_by_field, payload)[1])
    assert payload == asked


def types_of(value: Any) -> Any:
    """Return the types inside a value: 1 equals True, but is not the same."""
    if isinstance(value, dict):
        return {name: types_of(item) for name, item in value.items()}
    return [types_of(item) for item in value] if isinstance(value, list) else type(value)


@pytest.mark.parametrize(
    ("payload", "quick"),
    [
        ({"room_id": "r", "client_msg_id": "c", "text": "hello"}, True),
        ({"room_id": "r", "client_msg_id": "c", "text": "hello", "reply_to": "m"}, True),
        ({"room_id": "r", "client_msg_id": "c", "text": ""}, False),
        ({"room_id": "r", "text": "hello"}, False),
        ({"room_id": "r", "client_msg_id": "c", "text": "hello", "other": 1}, False),
        ({"room_id": "r", "client_msg_id": "c", "text": "hello", "version": 1}, False),
        ({"room_id": "r", "client_msg_id": "c", "text": "x" * 4001}, False),
    ],
)
def test_a_message_of_plain_fields_is_accepted_at_once(
    payload: dict[str, Any], quick: bool
) -> None:
    """The common message takes the quick way; what is odd is left to the schema."""
    assert (PlainCheck(MessageSendSchema()).accepted(payload) is not None) is quick
