"""Settings of a running stack, for commands that connect to it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rts_server.config import Settings
from rts_server.tools.dev.running_stack import with_running_stack

STATE = {"valkey": {"url": "redis://127.0.0.1:1/0"}, "aws": {"url": "http://127.0.0.1:2"}}


def test_addresses_come_from_the_running_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Addresses are read from `stack.json`; those given by the environment have precedence."""
    for name in ("RTS_REDIS_URL", "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "")
    assert with_running_stack(Settings(), tmp_path) == Settings()
    (tmp_path / "stack.json").write_text(json.dumps(STATE))
    found = with_running_stack(Settings(), tmp_path)
    assert (found.redis_url, found.aws_endpoint_url) == (
        "redis://127.0.0.1:1/0",
        "http://127.0.0.1:2",
    )
    monkeypatch.setenv("RTS_REDIS_URL", "redis://given/0")
    given = with_running_stack(Settings(redis_url="redis://given/0"), tmp_path)
    assert (given.redis_url, given.aws_endpoint_url) == ("redis://given/0", "http://127.0.0.1:2")
