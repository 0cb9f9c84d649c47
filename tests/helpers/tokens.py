"""Tokens of users, signed with the secret of the test settings."""

from __future__ import annotations

import time
from typing import Any

import jwt

from rts_server.config import Settings

SETTINGS = Settings(jwt_secret="a secret of at least thirty-two bytes")


def signed(secret: str = SETTINGS.jwt_secret, algorithm: str = "HS256", **changes: Any) -> str:
    """Return a token; claims of None are left out."""
    now = int(time.time())
    claims = {"sub": "alice", "iat": now, "exp": now + 60} | changes
    present = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(present, secret, algorithm=algorithm)
