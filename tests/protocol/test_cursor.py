"""Cursors of lists are opaque, and validated when they come back."""

from __future__ import annotations

import base64
import contextlib
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rts_server.errors import InvalidParam
from rts_server.protocol import cursor

INTS, TEXTS = st.integers(-(2**63), 2**63 - 1), st.text(st.characters(exclude_categories=["Cs"]))


@given(INTS, TEXTS)
def test_a_cursor_comes_back_as_it_was(number: int, text: str) -> None:
    """Values survive in characters that are safe in a URL."""
    made = cursor.encode([number, text])
    assert cursor.decode(made, int, str) == [number, text]
    assert set(made) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@given(st.text() | st.binary().map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_anything_else_is_refused(text: str) -> None:
    """A text is a cursor of the expected shape or `invalid_param`."""
    with contextlib.suppress(InvalidParam):
        assert [type(item) for item in cursor.decode(text, int, str)] == [int, str]


@pytest.mark.parametrize(
    "value", [[], [1], [1, 2], ["1", "a"], [True, "a"], [1.0, "a"], [1, "a", 1], {"a": 1}, 1, None]
)
def test_types_are_exact(value: Any) -> None:
    """A boolean is no number, and a cursor of another list is refused."""
    made = base64.urlsafe_b64encode(orjson.dumps(value)).decode()
    with pytest.raises(InvalidParam) as caught:
        cursor.decode(made, int, str)
    assert list(caught.value.details or ()) == ["cursor"]
