"""`rts-server build-lambdas`: the zips of the functions, ready to be uploaded."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path

from click.testing import CliRunner

from rts_server.__main__ import main
from tests.helpers import template


def test_the_key_holds_the_hash_and_is_printed_as_a_parameter(
    tmp_path: Path,
) -> None:
    """Files are named by their keys, and standard output is what the template asks for."""
    result = CliRunner().invoke(main, ["build-lambdas", "--into", str(tmp_path / "build")])
    assert result.exit_code == 0
    lines = [line.partition("=") for line in result.stdout.splitlines()]
    assert [name for name, _, _ in lines] == ["MessageCodeKey", "RoomCodeKey"]
    assert {name for name, _, _ in lines} <= template.part("Parameters").keys()
    for _, _, key in lines:
        data = (tmp_path / "build" / key).read_bytes()
        found = re.fullmatch(r"chat-(message|room)-to-db-([0-9a-f]{32})\.zip", key)
        assert found
        assert sha256(data).hexdigest().startswith(found[2])
