"""Fields of payloads: strict, and refused with one kind of error."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from marshmallow import Schema, ValidationError, fields
from multidict import MultiDict
from webargs.multidictproxy import MultiDictProxy

from rts_server.domain.size_limits import LIMITS
from rts_server.errors import MessageTooLarge
from rts_server.protocol import commands, cursor, requests
from rts_server.protocol import fields as ours
from rts_server.protocol.commands import InputSchema

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
SCHEMAS = [
    kind
    for kind in vars(commands).values()
    if isinstance(kind, type) and issubclass(kind, InputSchema) and kind is not InputSchema
]


def accepts(field: fields.Field[Any], value: Any) -> bool:
    """Return whether a field accepts a value."""
    try:
        assert Schema.from_dict({"it": field})().load({"it": value}) == {"it": value}
    except (ValidationError, MessageTooLarge):
        return False
    return True


FIELDS: dict[str, tuple[fields.Field[Any], list[Any], list[Any]]] = {
    "whole": (
        ours.StrictInteger(1, 50),
        [1, 50],
        [0, 51, True, 1.0, "1", None, [], 2**70, float("nan")],
    ),
    "flag": (ours.StrictBoolean(), [True, False], [0, 1, "true", "yes", None, []]),
    "identifier": (
        ours.identifier(),
        ["a", "A-_9", "x" * 64],
        ["", "x" * 65, "a b", "a\n", "é", "a:b", "a{b}", 5, None, ["a"], "а"],
    ),
    "user": (
        ours.user(),
        ["a", "a@b.c", "{x}:*", "u" * 128],
        ["", "u" * 129, "a b", "a\n", "é", "\x7f", "\x00", 5],
    ),
    "users": (ours.users(), [["a"], ["a"] * 100], [[], ["a"] * 101, "abc", [5], [""], None]),
    "line": (
        ours.line(5),
        ["a", "äöü", "👍👍👍👍👍", " a "],
        ["", "     ", "\u3000", "a\nb", "a\tb", "a\u202eb", "a\u2028", "\ufeff", "abcdef", 5],
    ),
    "text": (
        ours.text(),
        ["a\nb\tc\r", "x" * 4000, "😀" * 4000, "a\u200d", ""],
        ["x" * 4001, "a\x00", "a\x1b[0m", "\x85", "a\u202e", " ", 5, None],
    ),
    "metadata": (
        ours.Metadata(),
        [
            {},
            {"a": [1, {"b": None}]},
            {str(n): 1 for n in range(64)},
            {"a": "x" * 4080},
            {"a": [2**53 - 1, -(2**53) + 1, 0.1, 1.0, -1e-300]},
        ],
        [
            [],
            "a",
            {str(n): 1 for n in range(65)},
            {"a": "x" * 4090},
            {"a": [{"b": {"constructor": 1}}]},
            {"a": [[[[[[[[1]]]]]]]]},
            {"a": 2**53},
            {"a": [{"b": -(2**53)}]},
            {"a": float(2**64 + 1)},
            {"a": [1e25]},
            {"a": float("inf")},
            {"a": [float("nan")]},
            {"a": 2**70},
        ],
    ),
}
CASES = [(name, value, True) for name, (_, good, _) in FIELDS.items() for value in good]
CASES += [(name, value, False) for name, (_, _, bad) in FIELDS.items() for value in bad]


@pytest.mark.parametrize(("name", "value", "good"), CASES)
def test_a_field_accepts_exactly_the_values_of_the_protocol(
    name: str, value: Any, good: bool
) -> None:
    """Bounds are inclusive, types exact, and accepted values unchanged."""
    assert accepts(FIELDS[name][0], value) is good


def refused(schema: type[Schema], value: dict[str, Any]) -> set[str] | None:
    """The fields for which a payload is refused; None if it is valid."""
    try:
        assert "more" not in schema().load(value)
    except ValidationError as error:
        return set(error.normalized_messages())  # type: ignore[no-untyped-call]
    except MessageTooLarge as error:
        return set(error.details or ())
    return None


@pytest.mark.parametrize("schema", SCHEMAS)
@settings(max_examples=25)
@given(data=st.data())
def test_a_command_is_valid_or_refused_by_field(
    schema: type[InputSchema], data: st.DataObject
) -> None:
    """Any JSON object is valid or refused with errors by field."""
    names = list(schema().fields)
    value = data.draw(st.dictionaries(st.sampled_from([*names, "more"]), VALUES, max_size=6))
    assert (refused(schema, value) or set()) <= {*names, "_schema"}


@given(st.text(max_size=30))
def test_names_hold_no_control(text: str) -> None:
    """An accepted name has no control character or line separator and is not blank."""
    if accepts(ours.line(30), text):
        assert text.strip()
        kinds = {unicodedata.category(character) for character in text}
        assert kinds.isdisjoint({"Cc", "Zl", "Zp"})


@given(VALUES)
def test_accepted_metadata_is_small_and_shallow(value: Any) -> None:
    """Size, depth and keys of accepted metadata are within the limits, counted in another way."""
    field = ours.Metadata()
    if not isinstance(value, dict) or not accepts(field, value):
        return
    text = orjson.dumps(value)
    assert len(text) <= LIMITS.metadata_bytes
    bare = re.sub(rb'"(?:[^"\\]|\\.)*"', b'""', text)
    depth = deepest = 0
    for byte in bare:
        depth += (byte in b"[{") - (byte in b"]}")
        deepest = max(deepest, depth)
    assert deepest <= LIMITS.metadata_depth
    assert bare.count(b":") <= LIMITS.metadata_keys


MEDIA = {
    "audio/webm;codecs=opus": "audio/webm;codecs=opus",
    "video/webm;codecs=vp8,opus": "video/webm;codecs=vp8,opus",
    "Video/MP4; Codecs=avc1.42E01E,mp4a.40.2": "video/mp4;codecs=avc1.42E01E,mp4a.40.2",
    'audio/ogg ; codecs="opus"': 'audio/ogg;codecs="opus"',
    "text/plain;charset=UTF-8": "text/plain;charset=UTF-8",
    "image/png": "image/png",
    "audio/webm;": None,
    "audio/webm;codecs": None,
    "audio/webm;codecs=$key": None,
    "audio/webm;codecs=a\r\nb": None,
    'audio/webm;codecs="a': None,
    "audio/webm;a=" + "x" * 255: None,
    "audio": None,
}


@pytest.mark.parametrize(("said", "kept"), MEDIA.items())
def test_a_content_type_may_have_parameters(said: str, kept: str | None) -> None:
    """Parameters are kept, names are normalised, values are unchanged."""
    asked = {"room_id": "r", "name": "a", "size": 1, "checksum_sha256": "A" * 43 + "="}
    if kept is None:
        assert refused(commands.UploadRequestSchema, asked | {"content_type": said}) == {
            "content_type"
        }
    else:
        loaded = commands.UploadRequestSchema().load(asked | {"content_type": said})
        assert loaded["content_type"] == kept


NOT_HERE = [
    (commands.MessageEditSchema, {"room_id": "r", "message_id": "m", "text": "a"}, "attachments"),
    (commands.MessageEditSchema, {"room_id": "r", "message_id": "m", "text": "a"}, "reply_to"),
    (commands.MessageSendSchema, {"room_id": "r", "client_msg_id": "m", "text": "a"}, "version"),
    (commands.RoomUpdateSchema, {"room_id": "r", "name": "a"}, "members"),
    (commands.RoomCreateSchema, {"type": "group", "client_room_id": "r", "members": []}, "frozen"),
    (commands.MemberRemoveSchema, {"room_id": "r", "user_ids": ["a"]}, "role"),
    (commands.UploadCompleteSchema, {"room_id": "r", "attachment_id": "a"}, "size"),
]


@pytest.mark.parametrize(("schema", "good", "field"), NOT_HERE)
def test_a_field_of_a_related_command_is_refused(
    schema: type[InputSchema], good: dict[str, Any], field: str
) -> None:
    """A related field would be ignored silently; an unknown field is ignored."""
    assert refused(schema, good) is None
    assert refused(schema, good | {"more": 1}) is None
    assert refused(schema, good | {field: "1"}) == {field}


def test_a_request_refuses_every_field_it_does_not_know() -> None:
    """A back end learns of a misspelt field; of very many it learns the first ten."""
    room, member = requests.ExternalRoomSchema, {"user_id": "a"}
    assert refused(room, {"name": "a", "members": [member, "b"]}) is None
    assert refused(room, {"name": "a", "nmae": "b", "frozen": True}) == {"nmae", "frozen"}
    assert refused(room, {"members": [member | {"Role": "owner"}]}) == {"members"}
    assert refused(requests.PageSchema, {"limit": "5", "page": "2"}) == {"page"}
    many = {f"field {n}": n for n in range(1_000)}
    assert refused(room, many | {"name": 5}) == {f"field {n}" for n in range(10)}
    repeated = MultiDict(("limit", str(n)) for n in range(1, 99))
    page = requests.PageSchema()
    assert page.load(MultiDictProxy(repeated, page)) == {"limit": 1}


def test_an_idempotency_key_is_the_same_with_quotes() -> None:
    """A structured field writes it as a string; a quote inside, or alone, is no key."""
    keys = requests.IdempotencyKeySchema()
    for written in ("a-1", '"a-1"'):
        assert keys.load({"Idempotency-Key": written}) == {"client_msg_id": "a-1"}
    for wrong in ('"a-1', 'a-1"', '""', '"a"1"', '"a";q=1', '""a""', "a 1"):
        assert refused(requests.IdempotencyKeySchema, {"Idempotency-Key": wrong}), wrong


def test_a_text_of_many_bytes_is_too_large() -> None:
    """The limit of 16 KiB holds beside that of code points."""
    assert 4 * LIMITS.text_points <= LIMITS.text_bytes
    with pytest.raises(MessageTooLarge) as caught:
        ours._not_too_long("x" * 4001)
    assert caught.value.details == {"text": ["Longer than maximum length 4000."]}


def test_the_longest_cursors_fit_their_fields() -> None:
    """The command accepts every cursor that the server returns."""
    rooms = cursor.encode([2**53, "r" * 64])
    assert commands.RoomListSchema().load({"cursor": rooms})["cursor"] == rooms
    members = cursor.encode(['"' * 128])
    loaded = commands.MemberListSchema().load({"room_id": "r", "cursor": members})
    assert loaded["cursor"] == members


def containers(field: object) -> list[object]:
    """The parts of a field that hold any number of values."""
    inner: list[object] = []
    if isinstance(field, fields.List):
        inner = [field.inner]
    elif isinstance(field, fields.Dict):
        inner = [field.key_field, field.value_field]
    elif isinstance(field, fields.Nested):
        inner = list(field.schema.fields.values())
    own = [field] if isinstance(field, fields.List | fields.Dict) else []
    return own + [found for one in inner for found in containers(one)]


ASKED = [
    kind
    for module in (commands, requests)
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, InputSchema) and kind is not InputSchema
]


@pytest.mark.parametrize("kind", ASKED, ids=lambda kind: kind.__name__)
def test_collections_are_bounded_before_their_items_are_read(kind: type[Schema]) -> None:
    """Lists and objects are refused by their size before their items are validated."""
    found = [one for field in kind().fields.values() for one in containers(field)]
    assert all(
        isinstance(one, ours.BoundedList | ours.BoundedDict | ours.Metadata) for one in found
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (ours.users(), [5] * 101),
        (ours.BoundedDict(0, 2, keys=ours.identifier()), {"a b": 1, "c d": 2, "e f": 3}),
    ],
)
def test_one_too_many_is_one_mistake(field: fields.Field[Any], value: object) -> None:
    """Invalid items add nothing to the error."""
    with pytest.raises(ValidationError) as told:
        field.deserialize(value)
    assert isinstance(told.value.messages, list)
    assert len(told.value.messages) == 1
