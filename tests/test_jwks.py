"""Tokens of an identity provider whose keys change and which may be away."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from rts_server import auth, jwks
from rts_server.auth import Tokens
from rts_server.config import Settings
from rts_server.errors import CATALOGUE, Refusal, Unauthorized, Unavailable
from rts_server.jwks import usable
from tests.helpers.provider import MAKE, Provider, provider, public
from tests.helpers.waiting import eventually

SECRET = "a secret of at least thirty-two bytes"


@asynccontextmanager
async def of(one: Provider, secret: str = "", refresh: float = 3_600.0) -> AsyncIterator[Tokens]:
    """Return tokens of a provider whose keys were fetched once."""
    made = Tokens(Settings(jwt_secret=secret, jwks_url=one.url, jwks_refresh=refresh))
    assert made.not_ready() == ["token keys"]
    made.start()
    await eventually(lambda: made.not_ready() == [])
    try:
        yield made
    finally:
        await made.close()


async def refused(tokens: Tokens, token: str) -> type[Refusal]:
    """Return the type of error of a token, as the catalogue has it."""
    with pytest.raises(Refusal) as caught:
        await tokens.identity(token)
    return CATALOGUE[caught.value.code]


@pytest.mark.parametrize("algorithm", MAKE)
async def test_a_token_of_each_algorithm_is_verified(algorithm: str) -> None:
    """The token names its key; a known key needs no request."""
    async with provider() as one:
        one.make("other", algorithm)
        async with of(one) as tokens:
            for kid in ("other", "one", "other"):
                found = await tokens.identity(one.token("alice", kid, scope="operator"))
                assert (found.user_id, found.scope) == ("alice", "operator")
        assert one.asked == 1


async def test_our_secret_verifies_tokens_without_a_key_id() -> None:
    """Without a configured secret such tokens are refused."""
    ours = auth.issue(Settings(jwt_secret=SECRET), "ops")
    async with provider() as one:
        async with of(one, SECRET) as tokens:
            assert (await tokens.identity(ours)).user_id == "ops"
            assert (await tokens.identity(one.token("alice", "one"))).user_id == "alice"
        async with of(one) as tokens:
            assert await refused(tokens, ours) is Unauthorized
            assert await refused(tokens, _hs256(b"", ours.split(".")[1])) is Unauthorized


async def test_a_key_verifies_by_its_own_algorithm_only() -> None:
    """A token cannot choose another, so a public key is no shared secret (RFC 8725, 3.1)."""
    async with provider() as one:
        one.make("rsa", "RS256")
        one.make("ec", "ES256")
        key: Any = one._keys["rsa"][0]
        pem = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        good = one.token("alice", "rsa").split(".")
        async with of(one, SECRET) as tokens:
            for kid, signed in [
                ("rsa", _hs256(pem, good[1])),
                ("ec", one.token("alice", "rsa")),
                ("rsa", one.token("alice", "ec")),
                ("one", auth.issue(Settings(jwt_secret=SECRET), "alice")),
            ]:
                assert await refused(tokens, _named(signed, kid)) is Unauthorized


def _hs256(secret: bytes, claims: str) -> str:
    """Sign with nothing or with a public key as a shared secret, which PyJWT refuses."""
    text = _text(b'{"alg":"HS256"}') + "." + claims
    return f"{text}.{_text(hmac.digest(secret, text.encode(), 'sha256'))}"


def _named(token: str, kid: str) -> str:
    """Return the token under the id of another key."""
    header = jwt.get_unverified_header(token)
    if header.get("kid") == kid:
        return token
    return ".".join([_text(json.dumps(header | {"kid": kid}).encode()), *token.split(".")[1:]])


def _text(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


async def test_a_new_key_is_fetched_once_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the next fetch is allowed, other unknown keys are answered as unavailable."""
    async with provider() as one, of(one) as tokens:
        assert await refused(tokens, _named(one.token("x", "one"), "nobody")) is Unavailable
        assert one.asked == 1  # just asked, at its start
        monkeypatch.setattr(tokens._keys, "_next_unknown", 0.0)
        one.make("new")
        token = one.token("alice", "new")
        found = await asyncio.gather(*(tokens.identity(token) for _ in range(50)))
        assert {identity.user_id for identity in found} == {"alice"}
        assert one.asked == 2
        stranger = _named(token, "nobody")
        with pytest.raises(Unavailable) as early:
            await tokens.identity(stranger)
        assert 0 < (early.value.retry_after_ms or 0) <= jwks.UNKNOWN_KEY_SECONDS * 1000
        monkeypatch.setattr(tokens._keys, "_next_unknown", 0.0)
        assert await refused(tokens, stranger) is Unauthorized
        assert one.asked == 3


async def test_a_withdrawn_key_verifies_nothing() -> None:
    """It is forgotten with the next refresh."""
    async with provider() as one:
        one.make("stays")
        old, new = one.token("alice", "one"), one.token("alice", "stays")
        async with of(one, refresh=0.01) as tokens:
            await tokens.identity(old)
            del one.published["one"]
            asked = one.asked
            await eventually(lambda: one.asked > asked + 1)
            # An id like any that nobody knows: judged by a fetch under way, else told to come back.
            assert await refused(tokens, old) in (Unauthorized, Unavailable)
            await tokens.identity(new)


FAILURES: dict[str, Any] = {
    "an error": lambda: web.Response(status=500),
    "elsewhere": lambda: web.Response(status=302, headers={"Location": "/elsewhere"}),
    "no JSON": lambda: web.Response(text="<html>"),
    "no keys": lambda: web.json_response({"keys": []}),
    "too large": lambda: web.Response(
        body=b'{"keys":[],"x":"' + b"x" * jwks.MAX_DOCUMENT_BYTES + b'"}'
    ),
}


@pytest.mark.parametrize("failure", FAILURES)
async def test_known_keys_survive_an_outage_of_the_provider(
    failure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unknown keys are unavailable meanwhile, and found again after it."""
    monkeypatch.setattr(jwks, "UNKNOWN_KEY_SECONDS", 0.0)
    async with provider() as one, of(one, refresh=0.01) as tokens:
        known, unknown = one.token("alice", "one"), _named(one.token("x", "one"), "nobody")
        one.failing = FAILURES[failure]()
        before = one.asked
        await eventually(lambda: one.asked > before)
        assert (await tokens.identity(known)).user_id == "alice"
        assert await refused(tokens, unknown) is Unavailable
        one.failing = None

        async def judged() -> bool:
            return await refused(tokens, unknown) is Unauthorized

        await eventually(judged)  # a fetch under way may still be one that fails


async def test_a_silent_provider_is_unavailable_in_time(
    monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
) -> None:
    """An instance is not ready before the first answer."""
    monkeypatch.setattr(jwks, "FETCH_TIMEOUT_SECONDS", 0.05)
    async with provider() as one:
        one.silent = True
        for url in (f"http://127.0.0.1:{unused_tcp_port}/", one.url):
            tokens = Tokens(Settings(jwks_url=url))
            assert await refused(tokens, one.token("alice", "one")) is Unavailable
            assert tokens.not_ready() == ["token keys"]
            await tokens.close()


GOOD = public(MAKE["ES256"](), "good", "ES256")
UNUSABLE: dict[str, Any] = {
    "a shared secret": {"kty": "oct", "k": "c2VjcmV0", "kid": "x", "alg": "HS256"},
    "for encryption": GOOD | {"use": "enc"},
    "without an id": {k: v for k, v in GOOD.items() if k != "kid"},
    "of an algorithm nobody allowed": public(MAKE["RS256"](), "x", "RS256", alg="PS512"),
    "short": public(rsa.generate_private_key(65537, 1024), "x", "RS256"),
    "a private key": GOOD | {"d": "c2VjcmV0"},
    "broken": {"kty": "EC", "crv": "P-256", "x": "?", "y": "?", "kid": "x"},
    "nothing": 5,
}


@pytest.mark.parametrize("kind", UNUSABLE)
def test_keys_that_may_not_sign_are_skipped(kind: str) -> None:
    """The others of the set are used; a set without any is invalid."""
    assert set(usable({"keys": [UNUSABLE[kind], GOOD]})) == {"good"}
    with pytest.raises(ValueError, match="no key"):
        usable({"keys": [UNUSABLE[kind]]})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["keys", "kty", "kid", "crv", "x", "n", "e"]), inner)
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_document_gives_keys_or_a_value_error(document: Any) -> None:
    """No content raises another kind of error."""
    with suppress(ValueError):
        assert usable(document)


MALFORMED: dict[str, dict[str, Any]] = {
    "no algorithm": {"kty": "RSA", "alg": "none", "n": "AQAB", "e": "AQAB"},
    "a secret without one": {"kty": "oct", "alg": "none", "k": "AQAB"},
    "an algorithm that is a list": {"kty": "EC", "crv": "P-256", "alg": ["ES256"]},
    "a number for a text": {"kty": "RSA", "n": 5, "e": {}},
    "a type that is a list": {"kty": ["RSA"]},
    "a point that is on no curve": {"kty": "EC", "crv": "P-256", "x": "AQAB", "y": "AQAB"},
    "nothing": {},
}


@pytest.mark.parametrize("wrong", MALFORMED)
async def test_a_malformed_key_is_skipped(wrong: str) -> None:
    """The other keys are used, at the start and when it is published later."""
    async with provider() as one:
        one.published["bad"] = MALFORMED[wrong] | {"kid": "bad"}
        async with of(one, refresh=0.01) as tokens:
            assert (await tokens.identity(one.token("alice", "one"))).user_id == "alice"
            one.make("new")
            await eventually(lambda: "new" in tokens._keys._keys)  # type: ignore[union-attr]
            assert (await tokens.identity(one.token("bob", "new"))).user_id == "bob"
