"""Tokens are JWTs, verified locally and once per connection (RFC 7519, RFC 8725)."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from math import isfinite
from typing import Any

import jwt
from jwt.algorithms import HMACAlgorithm
from jwt.types import Options

from rts_server.config import Settings
from rts_server.errors import Forbidden, Refusal, TokenExpired, Unauthorized
from rts_server.jwks import KeySet
from rts_server.logs import LineRate
from rts_server.protocol.event import rfc3339
from rts_server.protocol.unicode import is_name

log = logging.getLogger(__name__)

ALGORITHM = "HS256"
MAX_TOKEN_CHARACTERS = 4_096
MAX_NAME_CHARACTERS = 128
USER_ID = re.compile(r"[!-~]{1,128}")
LOGGED_REFUSALS_PER_SECOND = 10
"""Refused tokens per second that are logged; anybody can send them."""

CLAIMS = {
    "sub": "Required. The user id: 1 to 128 printable ASCII characters without spaces.",
    "iat": "Required. When the token was issued: a number, seconds since 1970, not in the future.",
    "exp": "Required. When it ends, likewise. Connections of an expired token are closed.",
    "nbf": "Optional. Before this time, likewise a number, the token is refused.",
    "name": "Optional. The display name: one line of at most 128 characters. Others are left out.",
    "scope": "Optional. Words separated by spaces; `operator` opens the REST routes.",
    "iss": "Required, and equal to `RTS_JWT_ISSUER`, if that is set.",
    "aud": "Required, and equal to `RTS_JWT_AUDIENCE` or a list with it, if that is set.",
}
"""The claims that are read, for docs/tokens.md and `/v1/docs`. Other claims are ignored."""
DATES = ("exp", "iat", "nbf")
SIGNATURE_ONLY: Options = {
    "verify_aud": False,
    "verify_exp": False,
    "verify_iat": False,
    "verify_iss": False,
    "verify_jti": False,
    "verify_nbf": False,
    "verify_sub": False,
}
"""PyJWT's options with which it verifies no claim."""
NO_DATE = "Must be a number: seconds since 1970."
NO_TOKEN = "Not a signed JWT (RFC 7519)."
NO_USER_ID = "Must be a user id: 1 to 128 printable ASCII characters without spaces."


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


class InvalidToken(Unauthorized):
    """The token is missing or invalid."""

    def __init__(self, claim: str, reason: str, user_id: str | None = None) -> None:
        """`user_id`: whose token it is, if its signature is valid."""
        super().__init__(details={claim: [reason]})
        self.user_id = user_id


class ExpiredToken(TokenExpired):
    """The token has expired."""

    def __init__(self, reason: str, user_id: str | None) -> None:
        super().__init__(details={"exp": [reason]})
        self.user_id = user_id


class Tokens:
    """Verifies tokens: with a provider's key if the token names one, else with our own secret."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        url = settings.jwks_url
        self._keys = KeySet(url, settings.jwks_refresh) if url else None
        self._logged = LineRate(LOGGED_REFUSALS_PER_SECOND)

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
        """Return the identity of a token. Call it within `refusals_logged`.

        Raises:
            Unauthorized: The token is invalid.
            TokenExpired: The token has expired.
            Unavailable: The token's key cannot be fetched at the moment.
        """
        kid = _kid(token) if self._keys else None
        key = await self._keys.key(kid) if self._keys and kid else None
        return verify(self._settings, token, key)

    @contextmanager
    def refusals_logged(self) -> Iterator[None]:
        """Log why a token is refused, whatever refuses it: the claim is in `details`.

        Only under `dev` the client learns it too: elsewhere all defects look alike, so that the
        answer helps nobody to guess.
        """
        try:
            yield
        except (Unauthorized, TokenExpired, Forbidden) as refusal:
            reasons = {claim: " ".join(texts) for claim, texts in (refusal.details or {}).items()}
            self._log(refusal, reasons)
            if self._settings.dev:
                told = [f"{claim}: {reason}" for claim, reason in reasons.items()]
                refusal.message = " ".join([refusal.message, *told])
            else:
                refusal.details = None
            raise

    def _log(self, refusal: Refusal, reasons: dict[str, str]) -> None:
        if not self._logged.admits():
            return
        claim, reason = next(iter(reasons.items()), ("", refusal.message))
        user_id = getattr(refusal, "user_id", None)
        context = {"code": refusal.code, "claim": claim, "reason": reason, "user_id": user_id}
        log.info("token refused", extra={**context, "suppressed": self._logged.left_out()})


def _kid(token: Any) -> str | None:
    _must_be_text(token)
    try:
        kid = jwt.get_unverified_header(token).get("kid")
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise InvalidToken("token", NO_TOKEN) from None
    return kid if isinstance(kid, str) else None


def _must_be_text(token: Any) -> None:
    if token is None or token == "":
        raise InvalidToken("token", "Missing.")
    if not isinstance(token, str):
        raise InvalidToken("token", "Must be a string.")
    if len(token) > MAX_TOKEN_CHARACTERS:
        raise InvalidToken("token", f"Longer than {MAX_TOKEN_CHARACTERS} characters.")


def verify(settings: Settings, token: Any, key: jwt.PyJWK | None = None) -> Identity:
    """Return the identity of a token that was signed with our secret, or with a provider's key.

    Raises Unauthorized or TokenExpired. The text is the same for every defect; `details` name the
    claim and are for the log (`Tokens.refusals_logged`).
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
                "verify_jti": False,  # not read here
            },
        )
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise _defect(error, settings, token, secret, algorithm) from None
    identity = _identity(claims, settings.longest_token)
    if identity.expires_at + settings.expiry_grace < time.time():
        age = f"Issued more than {settings.longest_token:.0f} s ago (RTS_LONGEST_TOKEN)."
        raise ExpiredToken(age, identity.user_id)
    return identity


def _defect(
    error: Exception, settings: Settings, token: str, secret: Any, algorithm: str
) -> Refusal:
    """Return why a token was refused. No claim is read before the signature was verified alone."""
    try:
        claims = jwt.decode(token, secret, algorithms=[algorithm], options=SIGNATURE_ONLY)
    except jwt.InvalidAlgorithmError:
        return InvalidToken("alg", f"Must be {algorithm}.")
    except (jwt.InvalidSignatureError, jwt.InvalidKeyError):
        return InvalidToken("signature", "Not made with the key of this server.")
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        return InvalidToken("token", NO_TOKEN)
    user_id = claims.get("sub")
    if user_id is not None and not _is_user_id(user_id):
        return InvalidToken("sub", NO_USER_ID)
    return _wrong_date(claims, user_id) or _wrong_claim(error, claims, settings, user_id)


def _wrong_date(claims: dict[str, Any], user_id: str | None) -> InvalidToken | None:
    """Return the refusal of a date that is no number; PyJWT accepts digits in a string."""
    wrong = (name for name in DATES if name in claims and not _is_date(claims[name]))
    name = next(wrong, None)
    return InvalidToken(name, NO_DATE, user_id) if name else None


def _wrong_claim(
    error: Exception, claims: dict[str, Any], settings: Settings, user_id: str | None
) -> Refusal:
    match error:
        case jwt.ExpiredSignatureError():
            return ExpiredToken(f"Expired at {rfc3339(claims['exp'])}.", user_id)
        case jwt.ImmatureSignatureError():
            name = max(("iat", "nbf"), key=lambda one: claims.get(one) or 0)
            return InvalidToken(name, f"In the future: {rfc3339(claims[name])}.", user_id)
        case jwt.MissingRequiredClaimError():
            return InvalidToken(error.claim, "Missing.", user_id)
        case jwt.InvalidIssuerError():
            return InvalidToken("iss", f"Must be {settings.jwt_issuer}.", user_id)
        case jwt.InvalidAudienceError():
            return InvalidToken("aud", f"Must be {settings.jwt_audience}.", user_id)
    return InvalidToken("token", NO_TOKEN, user_id)


def _identity(claims: dict[str, Any], longest: float) -> Identity:
    """Shorten a token to RTS_LONGEST_TOKEN: revocations are kept no longer (A3)."""
    user_id, name = claims["sub"], claims.get("name")
    if not _is_user_id(user_id):
        raise InvalidToken("sub", NO_USER_ID)
    if wrong := _wrong_date(claims, user_id):
        raise wrong
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


def _is_user_id(claim: Any) -> bool:
    return isinstance(claim, str) and USER_ID.fullmatch(claim) is not None


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
