"""`--shards`: the local stack with a cluster instead of one Valkey."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import redis

from rts_server.tools.dev.running_stack import with_running_stack
from rts_server.tools.dev.stack import STATE_FILE, Stack
from rts_server.tools.dev.stack_error import StackError
from tests.helpers.processes import clean_environment

SHARDS = 3


def stack_on(folder: Path, monkeypatch: pytest.MonkeyPatch, shards: int = SHARDS) -> Stack:
    """Return a stack without a cloud, which the cluster needs nothing of."""
    nowhere = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    monkeypatch.setattr(Stack, "deploy", lambda self: None)
    return Stack(folder, environ=clean_environment() | nowhere, shards=shards)


def test_a_cluster_is_started_and_keeps_its_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each slot is served; processes are told that it is a cluster, and commands find it."""
    for round_number in range(2):
        stack = stack_on(tmp_path, monkeypatch)
        stack.start()
        try:
            environment = stack.environment()
            assert environment["RTS_REDIS_CLUSTER"] == "1"
            assert environment["RTS_REDIS_URL"] == stack.settings.redis_url
            state = json.loads((tmp_path / STATE_FILE).read_text())
            assert len(state["cluster"]["nodes"]) == SHARDS == len(stack.processes())
            found = with_running_stack(stack.settings, tmp_path)
            assert found.redis_url == stack.settings.redis_url
            client = redis.RedisCluster.from_url(stack.settings.redis_url)
            names = [f"key{number}" for number in range(50)]
            assert [client.get(name) for name in names] == [
                name.encode() if round_number else None for name in names
            ]
            for name in names:
                client.set(name, name)
            client.close()
        finally:
            stack.stop()


def test_a_cluster_beside_a_given_redis_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be started for nothing."""
    stack = stack_on(tmp_path, monkeypatch)
    stack.environ["RTS_REDIS_URL"] = "redis://127.0.0.1:1/0"
    with pytest.raises(StackError, match="--shards"):
        stack.start()


def test_one_shard_is_a_single_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As without the option."""
    stack = stack_on(tmp_path, monkeypatch, shards=1)
    stack.start()
    try:
        assert stack.environment()["RTS_REDIS_CLUSTER"] == "0"
        with redis.Redis.from_url(stack.settings.redis_url) as client:
            assert client.info("cluster")["cluster_enabled"] == 0
    finally:
        stack.stop()
