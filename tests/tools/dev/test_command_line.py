"""The command line, as far as no running process is needed."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rts_server import auth, config_loading
from rts_server.__main__ import main
from rts_server.config_listing import MASK
from rts_server.tools.dev import ports
from rts_server.tools.dev.stack import development_secret

SECRET = "a secret that is long enough for HS256"


def run_command(*arguments: str, **environment: str) -> Result:
    """Run a command without the settings of this process."""
    known: dict[str, str | None] = dict.fromkeys(
        ("RTS_JWT_SECRET", "RTS_REDIS_URL", "AWS_ENDPOINT_URL")
    )
    return CliRunner().invoke(main, list(arguments), env={**known, **environment})


def test_token_prints_one_token_and_nothing_else() -> None:
    """Standard output is one token and a line end; the token has the given user, name and scope."""
    result = run_command(
        *("token", "--user", "alice", "--name", "Alice", "--scope", "operator", "--lifetime", "60"),
        RTS_JWT_SECRET=SECRET,
    )
    assert (result.exit_code, result.stderr, result.stdout.count("\n")) == (0, "", 1)
    identity = auth.verify(config_loading.load({"RTS_JWT_SECRET": SECRET}), result.stdout.strip())
    assert (identity.user_id, identity.name, identity.scope) == ("alice", "Alice", "operator")


def test_token_falls_back_to_the_development_secret(tmp_path: Path) -> None:
    """Without RTS_JWT_SECRET the token is signed with the secret of the data directory."""
    result = run_command("token", "--user", "bob", "--data", str(tmp_path))
    assert (result.exit_code, result.stdout) == (2, "")
    assert "RTS_JWT_SECRET is missing" in result.stderr
    known = config_loading.load({"RTS_JWT_SECRET": development_secret(tmp_path)})
    result = run_command("token", "--user", "bob", "--data", str(tmp_path))
    assert auth.verify(known, result.stdout.strip()).user_id == "bob"


def test_the_development_secret_is_private_and_stays(tmp_path: Path) -> None:
    """The secret is random, readable by its owner only, and the same at the next start."""
    first = development_secret(tmp_path / "one")
    assert first == development_secret(tmp_path / "one") != development_secret(tmp_path / "two")
    assert len(first) >= 64
    assert stat.S_IMODE((tmp_path / "one" / "secret").stat().st_mode) == 0o600


@pytest.mark.parametrize("user", ["", "a b", "ä", "x" * 129])
def test_token_refuses_an_invalid_user_id(user: str) -> None:
    """A user id that a server would refuse at connect is refused."""
    result = run_command("token", "--user", user, RTS_JWT_SECRET=SECRET)
    assert (result.exit_code, result.stdout) == (2, "")


@pytest.mark.parametrize("command", ["serve", "relay"])
def test_serving_requires_a_secret_or_keys(command: str) -> None:
    """Without a secret or keys, a server ends with one sentence on stderr and exit code 2."""
    result = run_command(command)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert "RTS_JWT_SECRET or RTS_JWKS_URL is missing" in result.stderr


@pytest.mark.parametrize("command", ["serve", "relay", "dev"])
def test_a_short_secret_is_refused(command: str) -> None:
    """A secret shorter than RFC 7518, section 3.2 requires is refused, and not printed."""
    result = run_command(command, RTS_JWT_SECRET="hunter2")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert "RTS_JWT_SECRET: Shorter than 32 bytes" in result.stderr
    assert "hunter2" not in result.stderr


@pytest.mark.parametrize("command", [["serve"], ["config"], ["dev"], ["token", "--user", "alice"]])
def test_an_invalid_setting_is_named(command: list[str]) -> None:
    """Every command refuses an invalid setting in one sentence that names the variable."""
    result = run_command(*command, RTS_PORT="eighty", RTS_JWT_SECRET=SECRET)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "RTS_PORT" in result.stderr


def test_config_names_the_source_and_masks_secrets() -> None:
    """Each setting is listed with its source; secrets are masked."""
    result = run_command(
        "config", RTS_JWT_SECRET=SECRET, RTS_REDIS_URL="redis://:hidden@cache/0", RTS_PORT="9000"
    )
    rows = {line.split()[0]: line.split()[1:] for line in result.stdout.splitlines()}
    assert rows["RTS_PORT"] == ["9000", "environment"]
    assert rows["RTS_ROOM_QUEUE"] == ["chat-room-queue", "default"]
    assert rows["RTS_JWT_SECRET"] == [MASK, "environment"]
    assert "hidden" not in result.stdout
    assert SECRET not in result.stdout
    assert "Address on which" not in result.stdout
    assert "default  Address on which" in run_command("config", "--describe").stdout


def test_a_busy_port_is_one_sentence_before_anything_starts(tmp_path: Path) -> None:
    """All web ports are checked first: if the second is busy, no data directory is created."""
    with socket.socket() as listener:
        listener.bind((ports.LOCAL, 0))
        listener.listen()
        busy = listener.getsockname()[1]
        data = tmp_path / "data"
        result = run_command("dev", "--instances=2", f"--port={busy - 1}", f"--data={data}")
    assert result.exit_code == 1
    assert "Port " in result.stderr
    assert result.stderr.count("\n") == 1
    assert not data.exists()
