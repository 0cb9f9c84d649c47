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
    """With a CloudWatch agent configured, each line is one datagram to it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as agent:
        agent.bind(("127.0.0.1", 0))
        agent.setblocking(False)
        url = f"udp://127.0.0.1:{agent.getsockname()[1]}"
        async with ProcessMonitor(replace(OFTEN, emf_agent=url), "relay", "i"):
            line = await asyncio.get_running_loop().sock_recv(agent, 65_536)
    told = json.loads(line)
    assert (told["Process"], told["Instance"]) == ("relay", "i")
    assert told["_aws"]["LogGroupName"] == "/rts/chat/metrics"


async def test_without_an_agent_the_line_goes_to_standard_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each line is JSON; no line is lost if the agent is gone."""
    gone = f"udp://127.0.0.1:{free_port()}"
    lines: list[str] = []
    for settings in (OFTEN, replace(OFTEN, emf_agent=gone)):
        async with ProcessMonitor(settings, "web", "i"):
            await asyncio.to_thread(until, lambda: has_line(capsys, lines))
        assert json.loads(lines[0])["Process"] == "web"
        lines.clear()


def has_line(capsys: pytest.CaptureFixture[str], lines: list[str]) -> bool:
    lines += capsys.readouterr().err.splitlines()
    return bool(lines)


async def test_a_process_without_rest_can_serve_its_metrics() -> None:
    """The port answers while the monitor runs, and is free afterwards."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/metrics"
    for _ in range(2):
        async with ProcessMonitor(Settings(), "relay", "i", port):
            text = await asyncio.to_thread(lambda: urllib.request.urlopen(url, timeout=5).read())
        assert b"rts_outbox_age_seconds" in text
