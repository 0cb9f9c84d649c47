"""Templates of events: only placeholders of this process are placeholders."""

from __future__ import annotations

import json
import re
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rts_server.roomlog import template
from rts_server.roomlog.template import Slot, placeholder, text_template, with_timestamp

FILLED = {
    Slot.EPOCH: "3",
    Slot.OFFSET: "14",
    Slot.SEQ: "159",
    Slot.TS: "2026-11-23T10:00:00.000Z",
    Slot.MEMBER_COUNT: "2",
    Slot.MEMBERS: '[{"user_id":"a"}]',
    Slot.USER_IDS: '["a","b"]',
}
LOOKALIKE = st.sampled_from(
    ["@0123456789abcdef:3@", '"@x:1@"', '\\"@', "@:1@", "@", '"', "\\", ":1@", "\u2028", "\x00"]
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"])) | LOOKALIKE
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXTS | st.sampled_from(Slot),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


def filled(template: str) -> str:
    """The text as append.lua fills it."""
    return re.sub("\x01(.)", lambda mark: FILLED[Slot(int(mark[1]))], template)


def with_placeholders(value: Any) -> Any:
    """The value with a placeholder for each slot in it."""
    if isinstance(value, Slot):
        return placeholder(value)
    if isinstance(value, dict):
        return {key: with_placeholders(item) for key, item in value.items()}
    return [with_placeholders(item) for item in value] if isinstance(value, list) else value


def expected(value: Any) -> Any:
    """The value with each slot as the script fills it."""
    if isinstance(value, Slot):
        return FILLED[value] if value is Slot.TS else json.loads(FILLED[value])
    if isinstance(value, dict):
        return {key: expected(item) for key, item in value.items()}
    return [expected(item) for item in value] if isinstance(value, list) else value


@given(JSON)
def test_a_filled_template_is_the_value(value: Any) -> None:
    """In any JSON the filled text is that JSON with the values of the slots."""
    assert orjson.loads(filled(text_template(with_placeholders(value)))) == expected(value)


@given(TEXTS, st.sampled_from(Slot))
def test_a_users_text_is_no_placeholder(text: str, slot: Slot) -> None:
    """A text that looks like a placeholder, but was written outside this process, stays text."""
    other = placeholder(slot).replace(template._NONCE, "0" * len(template._NONCE))
    for written in (text, other, text + other, other + text, f'"{other}"'):
        assert text_template({"text": written}) == orjson.dumps({"text": written}).decode()
        assert text_template({written: written}) == orjson.dumps({written: written}).decode()


def test_the_nonce_is_never_written_out() -> None:
    """Literals that leave this process do not contain the nonce of placeholders."""
    made = text_template({"a": [placeholder(slot) for slot in Slot], "b": placeholder(Slot.TS)})
    assert template._NONCE not in made
    assert re.findall("\x01(.)", made) == [str(int(slot)) for slot in (*Slot, Slot.TS)]


@pytest.mark.parametrize("slot", Slot)
def test_every_slot_is_one_digit(slot: Slot) -> None:
    """The pattern of a placeholder expects one digit."""
    assert text_template([slot_text := placeholder(slot)]).strip('[]"') == f"\x01{int(slot)}"
    assert slot_text not in text_template([slot_text])


def test_with_timestamp_fills_in_the_time_of_the_log() -> None:
    """Only the placeholder of the time is filled; the object itself is not changed."""
    value: Any = {"text": "a", "version": 2, "edited_at": placeholder(Slot.TS)}
    assert with_timestamp(value, "now") == {"text": "a", "version": 2, "edited_at": "now"}
    assert value["edited_at"] == placeholder(Slot.TS)
