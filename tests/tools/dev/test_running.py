"""Commands that speak to the stack which runs on a data directory."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rts_server.config import Settings
from rts_server.tools.dev.running import reached

NOTE = {"valkey": {"url": "redis://127.0.0.1:1/0"}, "aws": {"url": "http://127.0.0.1:2"}}


def test_what_runs_is_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its note has the addresses; what the environment gives is not overruled."""
    for name in ("RTS_REDIS_URL", "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "")
    assert reached(Settings(), tmp_path) == Settings()
    (tmp_path / "stack.json").write_text(json.dumps(NOTE))
    found = reached(Settings(), tmp_path)
    assert (found.redis_url, found.aws_endpoint_url) == (
        "redis://127.0.0.1:1/0",
        "http://127.0.0.1:2",
    )
    monkeypatch.setenv("RTS_REDIS_URL", "redis://given/0")
    given = reached(Settings(redis_url="redis://given/0"), tmp_path)
    assert (given.redis_url, given.aws_endpoint_url) == ("redis://given/0", "http://127.0.0.1:2")
