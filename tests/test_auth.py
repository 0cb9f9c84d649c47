"""Tokens: the valid ones identify a user, all others are refused."""

from __future__ import annotations

import base64
import json
import logging
import time
from dataclasses import replace
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rts_server import auth
from rts_server.auth import Tokens
from rts_server.config import Settings
from rts_server.errors import Refusal, TokenExpired, Unauthorized
from rts_server.protocol.event import rfc3339
from tests.helpers.tokens import SETTINGS, signed

BOUND = replace(SETTINGS, jwt_issuer="issuer", jwt_audience="chat")


def forged(header: dict[str, Any], claims: str) -> str:
    """Return a token of these texts with an empty signature."""
    parts = (json.dumps(header), claims, "")
    return ".".join(base64.urlsafe_b64encode(p.encode()).decode().rstrip("=") for p in parts)


def hand_signed(claims: str) -> str:
    """Sign claims that no library would write."""
    key = SETTINGS.jwt_secret.encode()
    return jwt.api_jws.encode(claims.encode(), key, algorithm="HS256")


def test_an_issued_token_is_verified() -> None:
    """`verify` reads what `issue` writes, issuer and audience included."""
    for settings in (SETTINGS, BOUND):
        token = auth.issue(settings, "alice", name="Alice Ä", scope="operator", lifetime=60)
        found = auth.verify(settings, token)
        assert (found.user_id, found.name, found.scope) == ("alice", "Alice Ä", "operator")
        assert abs(found.expires_at - time.time() - 60) < 2


NOT_SIGNED_BY_US = {
    "nothing": None,
    "number": 5,
    "bytes": b"abc",
    "empty": "",
    "two dots": "a.b.c",
    "lone surrogate": "a.\ud800.c",
    "longer than 4,096": signed(pad="x" * 4096),
    "another secret": signed("another secret of thirty-two bytes and more"),
    "algorithm none": forged({"alg": "none"}, '{"sub":"a","iat":1,"exp":9999999999}'),
    "algorithm nobody asked for": signed(SETTINGS.jwt_secret + "x" * 32, algorithm="HS512"),
    "critical header": jwt.encode({"sub": "a"}, SETTINGS.jwt_secret, headers={"crit": ["x"]}),
}
WRONG_CLAIMS = {
    "no sub": signed(sub=None),
    "no exp": signed(exp=None),
    "no iat": signed(iat=None),
    "sub a number": hand_signed('{"sub":5,"iat":1,"exp":9999999999}'),
    "sub a list": hand_signed('{"sub":["a"],"iat":1,"exp":9999999999}'),
    "sub empty": signed(sub=""),
    "sub with space": signed(sub="a b"),
    "sub with newline": signed(sub="a\n"),
    "sub not ASCII": signed(sub="ä"),
    "sub of 129": signed(sub="a" * 129),
    "exp a text": hand_signed('{"sub":"a","iat":1,"exp":"9999999999"}'),
    "exp true": hand_signed('{"sub":"a","iat":1,"exp":true}'),
    "iat a text": hand_signed('{"sub":"a","iat":"1","exp":9999999999}'),
    "iat true": hand_signed('{"sub":"a","iat":true,"exp":9999999999}'),
    "exp infinite": hand_signed('{"sub":"a","iat":1,"exp":Infinity}'),
    "exp not a number": hand_signed('{"sub":"a","iat":1,"exp":NaN}'),
    "exp null": hand_signed('{"sub":"a","iat":1,"exp":null}'),
    "iat in an hour": signed(iat=int(time.time()) + 3600),
    "nbf in an hour": signed(nbf=int(time.time()) + 3600),
    "nbf a text": hand_signed('{"sub":"a","iat":1,"exp":9999999999,"nbf":"1"}'),
    "nbf null": hand_signed('{"sub":"a","iat":1,"exp":9999999999,"nbf":null}'),
    "nbf not a number": hand_signed('{"sub":"a","iat":1,"exp":9999999999,"nbf":NaN}'),
    "claims a list": hand_signed("[]"),
    "claims deep": hand_signed("[" * 2000 + "]" * 2000),
}


@pytest.mark.parametrize(
    "token",
    [*NOT_SIGNED_BY_US.values(), *WRONG_CLAIMS.values()],
    ids=[*NOT_SIGNED_BY_US, *WRONG_CLAIMS],
)
async def test_all_defects_of_a_token_look_alike(token: Any) -> None:
    """The error of an invalid token is always the same."""
    with pytest.raises(Refusal) as caught, Tokens(SETTINGS).refusals_logged():
        await Tokens(SETTINGS).identity(token)
    assert caught.value.code in ("unauthorized", "token_expired")
    assert caught.value.message == type(caught.value).__doc__
    assert caught.value.details is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


WHY = {
    "no sub": ("sub", "Missing.", None),
    "no exp": ("exp", "Missing.", "alice"),
    "no iat": ("iat", "Missing.", "alice"),
    "sub a number": ("sub", auth.NO_USER_ID, None),
    "sub with newline": ("sub", auth.NO_USER_ID, None),
    "exp a text": ("exp", auth.NO_DATE, "a"),
    "exp true": ("exp", auth.NO_DATE, "a"),
    "exp infinite": ("exp", auth.NO_DATE, "a"),
    "iat a text": ("iat", auth.NO_DATE, "a"),
    "nbf a text": ("nbf", auth.NO_DATE, "a"),
    "nbf null": ("nbf", auth.NO_DATE, "a"),
    "exp null": ("exp", auth.NO_DATE, "a"),
    "claims a list": ("token", auth.NO_TOKEN, None),
    "nothing": ("token", "Missing.", None),
    "number": ("token", "Must be a string.", None),
    "two dots": ("token", auth.NO_TOKEN, None),
    "longer than 4,096": ("token", "Longer than 4096 characters.", None),
    "another secret": ("signature", "Not made with the key of this server.", None),
    "algorithm none": ("alg", "Must be HS256.", None),
    "algorithm nobody asked for": ("alg", "Must be HS256.", None),
}


@pytest.mark.parametrize("defect", WHY)
async def test_the_log_says_which_claim_is_wrong_and_why(
    defect: str, caplog: pytest.LogCaptureFixture
) -> None:
    """And whose token it is, if its signature is valid; never the token."""
    token, (claim, reason, user_id) = (NOT_SIGNED_BY_US | WRONG_CLAIMS)[defect], WHY[defect]
    line = await refused_line(SETTINGS, token, caplog)
    assert (line["claim"], line["reason"], line["user_id"]) == (claim, reason, user_id)
    assert line["code"] == "unauthorized"
    assert not isinstance(token, str) or not token or token not in str(line)


async def test_the_log_says_what_time_or_value_a_claim_has_to_have(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """For dates the one that was given, for others the one that is configured."""
    future = int(time.time()) + 3600
    at = rfc3339(future)
    for claims, claim, reason in (
        ({"exp": 1_700_000_000.5}, "exp", "Expired at 2023-11-14T22:13:20.500Z."),
        ({"iat": future}, "iat", f"In the future: {at}."),
        ({"nbf": future}, "nbf", f"In the future: {at}."),
        ({"iss": "other", "aud": "chat"}, "iss", "Must be issuer."),
        ({"iss": "issuer", "aud": "other"}, "aud", "Must be chat."),
        ({"iss": "issuer"}, "aud", "Missing."),
        (
            {"iat": future - 40 * 86_400},
            "exp",
            "Issued more than 2592000 s ago (RTS_LONGEST_TOKEN).",
        ),
    ):
        settings = BOUND if {"iss", "aud"} & claims.keys() else SETTINGS
        line = await refused_line(settings, signed(**claims), caplog)
        assert (line["claim"], line["reason"], line["user_id"]) == (claim, reason, "alice")


async def test_under_dev_the_client_learns_why_too() -> None:
    """In the message, which every client shows, and by claim in `details`."""
    tokens = Tokens(replace(SETTINGS, dev="1"))
    with pytest.raises(TokenExpired) as caught, tokens.refusals_logged():
        await tokens.identity(signed(exp=1_700_000_000))
    reason = "Expired at 2023-11-14T22:13:20.000Z."
    assert caught.value.message == f"The token has expired. exp: {reason}"
    assert caught.value.details == {"exp": [reason]}


async def test_refused_tokens_do_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Ten lines a second; a later one says how many were left out."""
    tokens = Tokens(SETTINGS)
    with caplog.at_level(logging.INFO, "rts_server.auth"):
        for _ in range(100):
            with pytest.raises(Unauthorized), tokens.refusals_logged():
                await tokens.identity("x")
    assert 10 <= len(caplog.records) <= 50


async def refused_line(
    settings: Settings, token: Any, caplog: pytest.LogCaptureFixture
) -> dict[str, Any]:
    """Return the fields of the one log line about a refused token."""
    caplog.clear()
    tokens = Tokens(settings)
    with (
        caplog.at_level(logging.INFO, "rts_server.auth"),
        pytest.raises(Refusal),
        tokens.refusals_logged(),
    ):
        await tokens.identity(token)
    (record,) = caplog.records
    assert record.getMessage() == "token refused"
    return record.__dict__


def test_issuer_and_audience_count_only_when_configured() -> None:
    """A foreign issuer or audience is refused only if one is configured."""
    good = {"iss": "issuer", "aud": "chat"}
    assert auth.verify(BOUND, signed(**good)).user_id == "alice"
    for wrong in ({"iss": "other"}, {"iss": None}, {"aud": "other"}, {"aud": None}):
        with pytest.raises(Unauthorized):
            auth.verify(BOUND, signed(**(good | wrong)))
    assert auth.verify(SETTINGS, signed(iss="other", aud="other")).user_id == "alice"


@pytest.mark.parametrize("claim", ["jti", "iss", "aud", "azp", "x"])
@pytest.mark.parametrize("value", ["5", "null", "[5]", "{}", '""'])
def test_other_claims_are_ignored(claim: str, value: str) -> None:
    """Whatever they are, also those that PyJWT would check."""
    claims = f'{{"sub":"alice","iat":1,"exp":9999999999,"{claim}":{value}}}'
    settings = replace(SETTINGS, longest_token=1e10)
    assert auth.verify(settings, hand_signed(claims)).user_id == "alice"


def test_a_date_may_have_a_fraction() -> None:
    """A NumericDate may be a fraction (RFC 7519, 2)."""
    now = int(time.time())
    found = auth.verify(SETTINGS, signed(iat=now - 5.75, exp=now + 60.5, nbf=now - 0.5))
    assert (found.expires_at, found.issued_at) == (now + 60, now - 6)
    with pytest.raises(TokenExpired):
        auth.verify(SETTINGS, signed(exp=now - 31.5))


def test_an_expired_token_is_refused_after_the_grace() -> None:
    """After 30 s it is `token_expired`; an invalid signature has precedence."""
    now = int(time.time())
    assert auth.verify(SETTINGS, signed(exp=now - 25)).expires_at == now - 25
    with pytest.raises(TokenExpired):
        auth.verify(SETTINGS, signed(exp=now - 31))
    with pytest.raises(Unauthorized):
        auth.verify(SETTINGS, signed("another secret of thirty-two bytes and more", exp=1))


def test_without_a_secret_no_token_is_valid() -> None:
    """Nobody can sign with an empty secret."""
    token = forged({"alg": "HS256"}, '{"sub":"a","iat":1,"exp":9999999999}')
    with pytest.raises(Refusal):
        auth.verify(Settings(), token)


@pytest.mark.parametrize("name", [5, "", "x" * 129, "a\nb", "\u202eevil", None, ["x"]])
def test_an_invalid_name_is_left_out(name: Any) -> None:
    """A name is one printable line; without one the user connects all the same."""
    assert auth.verify(SETTINGS, signed(name=name)).name is None


def test_a_scope_is_a_text() -> None:
    """A scope of another type is ignored."""
    assert auth.verify(SETTINGS, signed(scope=["operator"])).scope == ""


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=128))
def test_every_user_id_of_the_protocol_is_accepted(user_id: str) -> None:
    """A user id is 1 to 128 printable ASCII characters without space."""
    assert auth.verify(SETTINGS, auth.issue(SETTINGS, user_id)).user_id == user_id


@given(st.text(max_size=200) | st.binary(max_size=50) | st.integers() | st.none())
def test_any_other_value_is_refused(token: Any) -> None:
    """No value raises another kind of error."""
    with pytest.raises(Refusal):
        auth.verify(SETTINGS, token)
