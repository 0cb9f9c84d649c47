"""docs/tokens.md: its examples run and make tokens that the server accepts; its table is true."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from rts_server import auth
from rts_server.config import Settings
from tests.helpers.node import node
from tests.helpers.tokens import SETTINGS

PAGE = (Path(__file__).parents[1] / "docs" / "tokens.md").read_text()


@pytest.mark.parametrize(
    ("language", "command"),
    [("python", lambda: [sys.executable, "-"]), ("js", lambda: [node(), "--input-type=module"])],
    ids=["Python", "Node"],
)
def test_an_example_makes_tokens_that_are_accepted(language: str, command: object) -> None:
    """Copied as it stands, with the secret in the environment: one for a user, one for REST."""
    (program,) = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert callable(command)
    ran = subprocess.run(
        command(),
        input=program,
        env={"RTS_JWT_SECRET": SETTINGS.jwt_secret},
        capture_output=True,
        text=True,
        check=True,
    )
    user, operator = (auth.verify(SETTINGS, line) for line in ran.stdout.splitlines())
    assert (user.user_id, user.name, user.scope) == ("alice", "Alice", "")
    assert (operator.user_id, operator.scope) == ("shop-back-end", "operator")
    assert user.expires_at - user.issued_at == 3600


def test_the_table_of_claims_is_that_of_the_server() -> None:
    """What /v1/docs shows and what docs/tokens.md says have one source."""
    rows = dict(re.findall(r"^\| `(\w+)` \| ((?:Required|Optional)[.,].*) \|$", PAGE, re.MULTILINE))
    assert rows == auth.CLAIMS


def test_the_times_are_the_defaults() -> None:
    """Clock skew, the longest lifetime, the size of a token and the lines in the log."""
    settings = Settings()
    assert f"{settings.expiry_grace:.0f} s (`RTS_EXPIRY_GRACE`)" in PAGE
    assert f"{settings.longest_token / 86_400:.0f} days after its `iat`" in PAGE
    assert f"at most {auth.MAX_TOKEN_CHARACTERS:,} characters" in PAGE
    assert (settings.jwks_refresh, auth.LOGGED_REFUSALS_PER_SECOND) == (3600, 10)
