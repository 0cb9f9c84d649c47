"""The tokens that a back end signs are those that the server takes."""

from __future__ import annotations

import time

from rts_chat import sign_token
from rts_server import auth
from rts_server.config import Settings


def test_the_server_reads_what_was_signed() -> None:
    """User, name and scope, for as long as was asked."""
    settings = Settings(jwt_secret="s" * 32, jwt_issuer="shop", jwt_audience="chat")
    token = sign_token(
        "s" * 32, sub="alice", name="Alice", lifetime=60, iss="shop", aud="chat", scope="operator"
    )
    identity = auth.verify(settings, token)
    assert (identity.user_id, identity.name, identity.scope) == ("alice", "Alice", "operator")
    assert abs(identity.expires_at - time.time() - 60) < 5
    plain = auth.verify(Settings(jwt_secret="s" * 32), sign_token("s" * 32, sub="bob"))
    assert (plain.name, plain.scope) == (None, "")
