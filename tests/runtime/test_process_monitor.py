"""What looks at a process from inside."""

from __future__ import annotations

import asyncio
import json
import socket
import urllib.request
from dataclasses import replace

import pytest

from rts_server.config import Settings
from rts_server.runtime.process_monitor import ProcessMonitor
from tests.helpers.waiting import until
from tests.helpers.world import free_port

OFTEN = replace(Settings(), emf_interval=0.05)


async def test_the_agent_gets_the_line() -> None:
    """With a CloudWatch agent named, each line is one datagram to it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as agent:
        agent.bind(("127.0.0.1", 0))
        agent.setblocking(False)
        url = f"udp://127.0.0.1:{agent.getsockname()[1]}"
        async with ProcessMonitor(replace(OFTEN, emf_agent=url), "relay", "i"):
            line = await asyncio.get_running_loop().sock_recv(agent, 65_536)
    told = json.loads(line)
    assert (told["Process"], told["Instance"]) == ("relay", "i")
    assert told["_aws"]["LogGroupName"] == "/rts/chat/metrics"


async def test_without_an_agent_the_line_is_among_the_logs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One line of JSON on standard error, and at an agent that is gone no line is lost."""
    gone = f"udp://127.0.0.1:{free_port()}"
    heard: list[str] = []
    for settings in (OFTEN, replace(OFTEN, emf_agent=gone)):
        async with ProcessMonitor(settings, "web", "i"):
            await asyncio.to_thread(until, lambda: told(capsys, heard))
        assert json.loads(heard[0])["Process"] == "web"
        heard.clear()


def told(capsys: pytest.CaptureFixture[str], heard: list[str]) -> bool:
    heard += capsys.readouterr().err.splitlines()
    return bool(heard)


async def test_a_process_without_rest_may_serve_its_metrics() -> None:
    """The port answers while the watch runs, and is free after it."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/metrics"
    for _ in range(2):
        async with ProcessMonitor(Settings(), "relay", "i", port):
            text = await asyncio.to_thread(lambda: urllib.request.urlopen(url, timeout=5).read())
        assert b"rts_outbox_age_seconds" in text
