"""What callers without types get wrong is refused by its name, before any request."""

from __future__ import annotations

from typing import Any

import pytest

from rts_chat import AsyncRestClient, RestClient, sign_token
from rts_chat.exchange import exchange_of
from rts_chat.route import ROUTES

BOTH = pytest.mark.parametrize("kind", [RestClient, AsyncRestClient])


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("sub", {"sub": 5}),
        ("sub", {"sub": ""}),
        ("sub", {"sub": "has space"}),
        ("sub", {"sub": None}),
        ("lifetime", {"lifetime": "1h"}),
        ("lifetime", {"lifetime": float("nan")}),
        ("lifetime", {"lifetime": True}),
        ("lifetime", {"lifetime": 0}),
        ("scope", {"scope": "admin"}),
        ("name", {"name": 7}),
        ("secret", {"secret": ""}),
        ("secret", {"secret": None}),
    ],
)
def test_what_cannot_be_in_a_token_is_refused_by_name(name: str, wrong: dict[str, Any]) -> None:
    """Also without a secret; the secret itself is never shown."""
    given: dict[str, Any] = {"secret": "s" * 32, "sub": "alice"} | wrong
    with pytest.raises((TypeError, ValueError), match=f"^{name} must be "):
        sign_token(**given)


@BOTH
@pytest.mark.parametrize(
    "url", [None, "", "nope", "chat.example.com", "ftp://a", "http://", "http://a?b"]
)
def test_a_client_without_an_address_is_refused(kind: Any, url: Any) -> None:
    """A request to nowhere would only be repeated."""
    with pytest.raises((TypeError, ValueError), match=r"^url must be the address of the server"):
        kind(url, "token")


@BOTH
@pytest.mark.parametrize("token", [None, "", "two words", "line\n", 5])
def test_a_client_without_a_token_is_refused(kind: Any, token: Any) -> None:
    """The token itself is not in the error."""
    with pytest.raises((TypeError, ValueError), match=r"gives one\.$"):
        kind("http://a", token)


@pytest.mark.parametrize("value", [None, "", ".", "..", 5])
def test_a_part_of_a_path_that_is_missing_is_refused_by_name(value: Any) -> None:
    """Else the request would be one of something else: of a room called None."""
    with pytest.raises((TypeError, ValueError), match=r"^room_id must be "):
        exchange_of(ROUTES["room.get"], {"room_id": value})


@pytest.mark.parametrize("key", ["", "é", "two words", 5])
def test_a_key_that_no_header_can_hold_is_refused(key: Any) -> None:
    """Nor is an empty one taken for none, by which repetitions would be two messages."""
    with pytest.raises((TypeError, ValueError), match=r"^idempotency_key must be "):
        exchange_of(ROUTES["message.send"], {"room_id": "r", "idempotency_key": key})


async def test_a_function_that_gives_no_token_is_refused() -> None:
    """Before any request, in both clients."""
    nothing: Any = lambda: None  # noqa: E731
    with (
        pytest.raises(TypeError, match=r"^token must be"),
        RestClient("http://127.0.0.1:1", nothing) as rest,
    ):
        rest.instance_all()
    async with AsyncRestClient("http://127.0.0.1:1", nothing) as asynchronous:
        with pytest.raises(TypeError, match=r"^token must be"):
            await asynchronous.instance_all()
