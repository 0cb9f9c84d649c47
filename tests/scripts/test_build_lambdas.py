"""scripts/build_lambdas: the zips of the functions, ready to be uploaded."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path

import pytest

from scripts import build_lambdas
from tests.helpers import template


def test_the_key_holds_the_hash_and_is_printed_as_a_parameter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Files are named by their keys, and standard output is what the template asks for."""
    monkeypatch.setattr(build_lambdas, "BUILD_FOLDER", tmp_path / "build")
    assert build_lambdas.main() == 0
    lines = [line.partition("=") for line in capsys.readouterr().out.splitlines()]
    assert [name for name, _, _ in lines] == ["MessageCodeKey", "RoomCodeKey"]
    assert {name for name, _, _ in lines} <= template.part("Parameters").keys()
    for _, _, key in lines:
        data = (tmp_path / "build" / key).read_bytes()
        found = re.fullmatch(r"chat-(message|room)-to-db-([0-9a-f]{32})\.zip", key)
        assert found
        assert sha256(data).hexdigest().startswith(found[2])
