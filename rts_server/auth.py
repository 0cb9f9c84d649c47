"""Tokens are JWTs, verified locally and once per connection (RFC 7519, RFC 8725)."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from functools import lru_cache
from math import isfinite
from typing import Any

import jwt
from jwt.algorithms import HMACAlgorithm

from rts_server.config import Settings
from rts_server.errors import TokenExpired, Unauthorized
from rts_server.jwks import KeySet
from rts_server.protocol.unicode import is_name

ALGORITHM = "HS256"
MAX_TOKEN_CHARACTERS = 4_096
MAX_NAME_CHARACTERS = 128
USER_ID = re.compile(r"[!-~]{1,128}")


class _Secret(HMACAlgorithm):
    """PyJWT's algorithm, with its check that the secret is not a public key done only once."""

    prepare_key = lru_cache(maxsize=2)(HMACAlgorithm.prepare_key)


jwt.unregister_algorithm(ALGORITHM)
jwt.register_algorithm(ALGORITHM, _Secret(HMACAlgorithm.SHA256))


@dataclass(frozen=True, slots=True)
class Identity:
    """The user of a connection, as its token says. Times are in seconds since 1970."""

    user_id: str
    expires_at: int
    issued_at: int = 0
    name: str | None = None
    scope: str = ""


class Tokens:
    """Verifies tokens: with a provider's key if the token names one, else with our own secret."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        url = settings.jwks_url
        self._keys = KeySet(url, settings.jwks_refresh) if url else None

    def start(self) -> None:
        """Fetch the provider's keys, if there is one, and keep them fresh."""
        if self._keys is not None:
            self._keys.start()

    async def close(self) -> None:
        """Stop fetching keys."""
        if self._keys is not None:
            await self._keys.close()

    def not_ready(self) -> list[str]:
        """Return the reasons why this instance is not ready."""
        return [] if self._keys is None else self._keys.not_ready()

    async def identity(self, token: Any) -> Identity:
        """Return the identity of a token.

        Raises:
            Unauthorized: The token is invalid.
            TokenExpired: The token has expired.
            Unavailable: The token's key cannot be fetched at the moment.
        """
        kid = _kid(token) if self._keys else None
        key = await self._keys.key(kid) if self._keys and kid else None
        return verify(self._settings, token, key)


def _kid(token: Any) -> str | None:
    _must_be_text(token)
    try:
        kid = jwt.get_unverified_header(token).get("kid")
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise Unauthorized() from None
    return kid if isinstance(kid, str) else None


def _must_be_text(token: Any) -> None:
    if not isinstance(token, str) or not token or len(token) > MAX_TOKEN_CHARACTERS:
        raise Unauthorized()


def verify(settings: Settings, token: Any, key: jwt.PyJWK | None = None) -> Identity:
    """Return the identity of a token that was signed with our secret, or with a provider's key.

    Raises Unauthorized or TokenExpired. The text is the same for every defect, so that it does
    not help to guess.
    """
    _must_be_text(token)
    secret, algorithm = settings.jwt_secret, ALGORITHM
    if key is not None:
        secret, algorithm = key.key, key.algorithm_name
    try:
        claims = jwt.decode(
            token,
            secret,
            algorithms=[algorithm],
            audience=settings.jwt_audience,
            issuer=settings.jwt_issuer,
            leeway=settings.expiry_grace,
            options={
                "require": ["sub", "exp", "iat"],
                "verify_aud": settings.jwt_audience is not None,
            },
        )
    except jwt.ExpiredSignatureError:
        raise TokenExpired() from None
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
        raise Unauthorized() from None
    identity = _identity(claims, settings.longest_token)
    if identity.expires_at + settings.expiry_grace < time.time():
        raise TokenExpired()
    return identity


def _identity(claims: dict[str, Any], longest: float) -> Identity:
    """Shorten a token to RTS_LONGEST_TOKEN: revocations are kept no longer (A3)."""
    user_id, name = claims["sub"], claims.get("name")
    if not isinstance(user_id, str) or not USER_ID.fullmatch(user_id):
        raise Unauthorized()
    if not (_is_date(claims["exp"]) and _is_date(claims["iat"])):
        raise Unauthorized()
    shown = name if is_name(name, MAX_NAME_CHARACTERS) else None
    scope = claims.get("scope")
    issued_at = int(claims["iat"])
    return Identity(
        user_id,
        min(int(claims["exp"]), issued_at + int(longest)),
        issued_at,
        shown,
        scope if isinstance(scope, str) else "",
    )


def _is_date(claim: Any) -> bool:
    """Return whether a claim is a NumericDate (RFC 7519, 2): seconds since 1970, or a fraction."""
    return type(claim) is int or (type(claim) is float and isfinite(claim))


def issue(
    settings: Settings,
    user_id: str,
    *,
    name: str | None = None,
    scope: str | None = None,
    lifetime: int = 86_400,
) -> str:
    """Sign a token with our secret, for development and operators. `lifetime` is in seconds."""
    now = int(time.time())
    claims: dict[str, Any] = {"sub": user_id, "iat": now, "exp": now + lifetime}
    optional = {
        "name": name,
        "scope": scope,
        "iss": settings.jwt_issuer,
        "aud": settings.jwt_audience,
    }
    claims.update({key: value for key, value in optional.items() if value})
    return jwt.encode(claims, settings.jwt_secret, algorithm=ALGORITHM)
