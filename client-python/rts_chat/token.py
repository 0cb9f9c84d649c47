"""Tokens that the server takes: JWTs signed with the secret that it has as `RTS_JWT_SECRET`."""

from __future__ import annotations

import time
from typing import Literal

import jwt

from rts_chat.arguments import check_claims


def sign_token(
    secret: str,
    *,
    sub: str,
    name: str | None = None,
    scope: Literal["operator"] | None = None,
    lifetime: float = 3600,
    iss: str | None = None,
    aud: str | None = None,
) -> str:
    """Return a token (HS256) of the user `sub`.

    Raises TypeError or ValueError, by the name of the argument, for what makes no such token.

    Args:
        secret: The server's `RTS_JWT_SECRET`.
        sub: The user id: 1–128 printable ASCII characters without space.
        name: What others see.
        scope: `operator` for the routes of REST; a browser must never get such a token.
        lifetime: Seconds from now.
        iss: Issuer, where the server checks it.
        aud: Audience, where the server checks it.
    """
    check_claims(secret, sub, scope, lifetime, name=name, iss=iss, aud=aud)
    now = int(time.time())
    optional = {"name": name, "scope": scope, "iss": iss, "aud": aud}
    claims = {key: value for key, value in optional.items() if value is not None}
    return jwt.encode({"sub": sub, "iat": now, "exp": now + lifetime, **claims}, secret, "HS256")
