"""The command line where it needs no running part."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rts_server import auth, config
from rts_server.__main__ import main
from rts_server.config_listing import MASK
from rts_server.tools.dev import ports
from rts_server.tools.dev.stack import secret

SECRET = "a secret that is long enough for HS256"


def call(*arguments: str, **environment: str) -> Result:
    """One run; none of this process's own settings are seen."""
    known: dict[str, str | None] = dict.fromkeys(
        ("RTS_JWT_SECRET", "RTS_REDIS_URL", "AWS_ENDPOINT_URL")
    )
    return CliRunner().invoke(main, list(arguments), env={**known, **environment})


def test_token_prints_one_token_and_nothing_else() -> None:
    """Standard output is one token and a line end; it says who, how and until when."""
    result = call(
        *("token", "--user", "alice", "--name", "Alice", "--scope", "operator", "--lifetime", "60"),
        RTS_JWT_SECRET=SECRET,
    )
    assert (result.exit_code, result.stderr, result.stdout.count("\n")) == (0, "", 1)
    identity = auth.verify(config.load({"RTS_JWT_SECRET": SECRET}), result.stdout.strip())
    assert (identity.user_id, identity.name, identity.scope) == ("alice", "Alice", "operator")


def test_token_outside_takes_the_development_secret(tmp_path: Path) -> None:
    """Without RTS_JWT_SECRET the secret of the data directory signs."""
    result = call("token", "--user", "bob", "--data", str(tmp_path))
    assert (result.exit_code, result.stdout) == (2, "")
    assert "RTS_JWT_SECRET is missing" in result.stderr
    known = config.load({"RTS_JWT_SECRET": secret(tmp_path)})
    result = call("token", "--user", "bob", "--data", str(tmp_path))
    assert auth.verify(known, result.stdout.strip()).user_id == "bob"


def test_the_development_secret_is_private_and_stays(tmp_path: Path) -> None:
    """It is random, for its owner only, and the same at the next start."""
    first = secret(tmp_path / "one")
    assert first == secret(tmp_path / "one") != secret(tmp_path / "two")
    assert len(first) >= 64
    assert stat.S_IMODE((tmp_path / "one" / "secret").stat().st_mode) == 0o600


@pytest.mark.parametrize("user", ["", "a b", "ä", "x" * 129])
def test_token_refuses_what_no_server_accepts(user: str) -> None:
    """A user id that would be refused at connect is refused here."""
    result = call("token", "--user", user, RTS_JWT_SECRET=SECRET)
    assert (result.exit_code, result.stdout) == (2, "")


@pytest.mark.parametrize("command", ["serve", "relay"])
def test_without_a_secret_nothing_runs(command: str) -> None:
    """Serving without a secret or keys is one sentence on standard error and exit code 2."""
    result = call(command)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert "RTS_JWT_SECRET or RTS_JWKS_URL is missing" in result.stderr


@pytest.mark.parametrize("command", ["serve", "relay", "dev"])
def test_with_a_short_secret_nothing_runs(command: str) -> None:
    """RFC 7518, 3.2: what can be guessed signs for everybody; one sentence without the secret."""
    result = call(command, RTS_JWT_SECRET="hunter2")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert "RTS_JWT_SECRET: Shorter than 32 bytes" in result.stderr
    assert "hunter2" not in result.stderr


@pytest.mark.parametrize("command", [["serve"], ["config"], ["dev"], ["token", "--user", "alice"]])
def test_a_wrong_setting_is_named(command: list[str]) -> None:
    """Every command refuses a wrong setting in one sentence that names the variable."""
    result = call(*command, RTS_PORT="eighty", RTS_JWT_SECRET=SECRET)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "RTS_PORT" in result.stderr


def test_config_names_the_source_and_masks_secrets() -> None:
    """Each setting stands with its source; no secret is shown."""
    result = call(
        "config", RTS_JWT_SECRET=SECRET, RTS_REDIS_URL="redis://:hidden@cache/0", RTS_PORT="9000"
    )
    rows = {line.split()[0]: line.split()[1:] for line in result.stdout.splitlines()}
    assert rows["RTS_PORT"] == ["9000", "environment"]
    assert rows["RTS_ROOM_QUEUE"] == ["chat-room-queue", "default"]
    assert rows["RTS_JWT_SECRET"] == [MASK, "environment"]
    assert "hidden" not in result.stdout
    assert SECRET not in result.stdout
    assert "Address on which" not in result.stdout
    assert "default  Address on which" in call("config", "--describe").stdout


def test_a_busy_port_is_one_sentence_before_anything_starts(tmp_path: Path) -> None:
    """All web ports are checked first: the second being busy leaves no data directory behind."""
    with socket.socket() as listener:
        listener.bind((ports.LOCAL, 0))
        listener.listen()
        busy = listener.getsockname()[1]
        data = tmp_path / "data"
        result = call("dev", "--instances=2", f"--port={busy - 1}", f"--data={data}")
    assert result.exit_code == 1
    assert "Port " in result.stderr
    assert result.stderr.count("\n") == 1
    assert not data.exists()
