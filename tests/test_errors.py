"""The error classes match the protocol's table."""

from __future__ import annotations

import json

import pytest

from rts_server import errors
from rts_server.errors import CATALOGUE, Refusal

TABLE = {
    "bad_request": (400, False),
    "invalid_param": (400, False),
    "unauthorized": (401, False),
    "token_expired": (401, False),
    "forbidden": (403, False),
    "not_found": (404, False),
    "conflict": (409, False),
    "gone": (410, False),
    "message_too_large": (413, False),
    "unsupported_type": (415, False),
    "limit_exceeded": (422, False),
    "rate_limited": (429, True),
    "internal": (500, True),
    "unavailable": (503, True),
    "timeout": (504, True),
}


def test_the_error_codes_are_those_of_the_protocol() -> None:
    """Each code has its status and whether a retry may help."""
    assert {code: (kind.http, kind.retryable) for code, kind in CATALOGUE.items()} == TABLE
    assert set(Refusal.__subclasses__()) == set(CATALOGUE.values())


@pytest.mark.parametrize("kind", CATALOGUE.values(), ids=CATALOGUE.keys())
def test_the_error_object_of_a_refusal(kind: type[Refusal]) -> None:
    """It always has code, message and retryable, other fields only if given."""
    plain = kind().as_error()
    assert plain == {"code": kind.code, "message": kind.__doc__, "retryable": kind.retryable}
    full = kind("Why.", details={"a": ["b"]}, retry_after_ms=0).as_error()
    assert full == plain | {"message": "Why.", "details": {"a": ["b"]}, "retry_after_ms": 0}
    assert json.loads(json.dumps(full)) == full


def test_absent_and_forbidden_rooms_are_alike() -> None:
    """`not_found` has one text for absent and for forbidden rooms (A4)."""
    assert errors.NotFound().as_error() == errors.NotFound().as_error()
    assert "or you have no access" in errors.NotFound().message
