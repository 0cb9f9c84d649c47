"""Requests made of routes and answers read, without a network."""

from __future__ import annotations

import json

import pytest

from rts_chat import ChatError
from rts_chat.exchange import ATTEMPTS, data_of, exchange_of, line_of, pause_after
from rts_chat.omitted import OMITTED
from rts_chat.route import ROUTES, Route


def test_each_parameter_goes_where_its_route_has_it() -> None:
    """Path, query and body; what was left out is nowhere."""
    params = {"user_id": "a/b c:%", "cursor": None, "limit": 5, "hidden": True}
    listed = exchange_of(ROUTES["user.rooms"], params)
    assert (listed.method, listed.path) == ("GET", "/v1/users/a%2Fb%20c%3A%25/rooms")
    assert (listed.query, listed.content) == ({"limit": 5, "hidden": True}, None)
    declared = exchange_of(ROUTES["room.declare"], {"external_id": "x", "name": "N", "members": []})
    assert json.loads(declared.content or b"") == {"name": "N", "members": []}
    verified = exchange_of(ROUTES["room.verify"], {"room_id": "r", "repair": True})
    assert (verified.query, verified.content) == ({"repair": True}, None)


def test_a_message_without_a_key_gets_one() -> None:
    """The same request sent twice is one message; two requests are two."""
    params = {"room_id": "r", "text": "t", "idempotency_key": None}
    one, other = (exchange_of(ROUTES["message.send"], params) for _ in range(2))
    assert one.headers["idempotency-key"] != other.headers["idempotency-key"]
    given = exchange_of(ROUTES["message.send"], params | {"idempotency_key": "order-7"})
    assert given.headers["idempotency-key"] == "order-7"
    assert json.loads(given.content or b"") == {"text": "t"}
    assert "idempotency-key" not in exchange_of(ROUTES["room.get"], {"room_id": "r"}).headers


def test_null_is_sent_where_a_field_may_be_null() -> None:
    """Elsewhere None means left out, and there `OMITTED` does."""
    route = Route("PATCH", "/x", nullable=("until",))
    lifted = exchange_of(route, {"until": None, "name": None})
    assert json.loads(lifted.content or b"") == {"until": None}
    assert exchange_of(route, {"until": OMITTED}).content is None


def test_a_refusal_is_raised_with_all_it_says() -> None:
    """Code, message, whether it may work later, and the fields that are wrong."""
    error = {"code": "invalid_param", "message": "A field is wrong.", "retryable": False}
    answer = {"ok": False, "error": error | {"details": {"name": ["Too long."]}}}
    with pytest.raises(ChatError) as refused:
        data_of(400, json.dumps(answer).encode())
    assert (refused.value.code, refused.value.retryable) == ("invalid_param", False)
    assert refused.value.details == {"name": ["Too long."]}
    assert str(refused.value) == "invalid_param: A field is wrong."


@pytest.mark.parametrize("body", [b"<html>502</html>", b"[]", b'{"ok": false}', b"null", b"\xff"])
def test_what_is_not_the_servers_answer_may_be_repeated(body: bytes) -> None:
    """As the page of a proxy in front of a server that restarts."""
    with pytest.raises(ChatError) as unknown:
        data_of(502, body)
    assert (unknown.value.code, unknown.value.retryable) == ("no_answer", True)
    assert "502" in str(unknown.value)


def test_a_line_ends_a_stream_or_is_cut_off() -> None:
    """The last line says that the answer is whole."""
    assert line_of('{"kind": "message"}') == {"kind": "message"}
    assert line_of('{"kind": "end", "lines": 1}') is None
    with pytest.raises(ChatError, match="cut off"):
        line_of('{"kind": "mess')


def test_pauses_grow_and_end() -> None:
    """The server's word counts first; the sixth attempt is the last."""
    busy = ChatError("rate_limited", "", retryable=True, retry_after_ms=1200)
    assert pause_after(busy, 1) == 1.2
    gone = ChatError("unavailable", "", retryable=True)
    assert 0.25 <= pause_after(gone, 1) <= 0.5
    assert 4 <= pause_after(gone, ATTEMPTS - 1) <= 8
    for error, attempt in ((gone, ATTEMPTS), (ChatError("forbidden", ""), 1)):
        with pytest.raises(ChatError):
            pause_after(error, attempt)
