"""A real nginx with the `.platform` files, as seen by clients and by the outside."""

from __future__ import annotations

import asyncio
import io
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import aiohttp
import pytest

from rts_server.config import Settings
from rts_server.engine.message_reader import MAX_ANSWERABLE_BYTES
from tests.deployment.instances import Instances
from tests.deployment.platform import OURS, before, command, platform, running
from tests.helpers.commands import ok
from tests.helpers.js_client import JsClient
from tests.helpers.world import World, free_port, free_ports, name

TIMEOUTS = ("proxy_read_timeout    60s", "proxy_send_timeout    60s")


def fetch(url: str, **headers: str) -> tuple[int, str]:
    """Status and body of a GET."""
    request = urllib.request.Request(
        url, headers={k.replace("_", "-"): v for k, v in headers.items()}
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_the_configuration_is_valid(tmp_path: Path) -> None:
    """`nginx -t` reports no error and no warning."""
    own, instance = free_ports(2)
    conf = platform(tmp_path, own, instance)
    checked = subprocess.run(
        command(conf, "-t", "-e", "stderr"), capture_output=True, text=True, check=False
    )
    lines = [line for line in checked.stderr.splitlines() if "[" in line]
    assert (checked.returncode, lines) == (0, [])


def test_sizes_and_times_fit_the_settings() -> None:
    """Timeouts exceed a missed ping, bodies hold a frame, and there are connections enough."""
    text = "".join(path.read_text() for path in OURS.rglob("*.conf"))
    settings = Settings()
    assert all(timeout in text for timeout in TIMEOUTS)
    assert settings.ping_interval + settings.ping_timeout < 60
    assert "client_max_body_size  2m" in text
    assert settings.limits.frame_bytes < MAX_ANSWERABLE_BYTES < 2 * 1024 * 1024
    assert "worker_connections  65536" in text
    assert "worker_rlimit_nofile  131072" in text


async def test_internal_routes_are_closed_to_the_outside(
    instances: Instances, tmp_path: Path
) -> None:
    """A request through the balancer is answered 404, the balancer's own check 200."""
    (_, port), _ = instances
    front = free_port()
    with running({front: platform(tmp_path / "platform", front, port)}):
        url = f"http://127.0.0.1:{front}"
        for path in ("/metrics", "/health/live", "/health/ready", "/v1/docs", "/v1/openapi.json"):
            outside = await asyncio.to_thread(fetch, url + path, X_Forwarded_For="203.0.113.9")
            absent = await asyncio.to_thread(fetch, url + "/absent", X_Forwarded_For="203.0.113.9")
            assert outside == absent
            assert outside[0] == 404
        assert (await asyncio.to_thread(fetch, url + "/health/ready"))[0] == 200
        assert (await asyncio.to_thread(fetch, url + "/metrics"))[0] == 200


async def test_sockets_outlive_the_idle_timeouts(
    world: World, instances: Instances, tmp_path: Path, full: bool
) -> None:
    """Pings keep a silent connection open for longer than the timeouts of nginx and balancer."""
    ports = [port for _, port in instances]
    changed = {} if full else {old: old.replace("60s", "2s") for old in TIMEOUTS}
    with before(tmp_path, ports, idle=120 if full else 2, changed=changed) as url:
        async with JsClient() as client:
            await client.connect(url, world.token(name("alice")))
            await asyncio.sleep(130 if full else 5)  # the silence is what is tested
            assert (await client.emit("room.list", {}))["ok"]
            assert not [line for line in client.lines if line["kind"] == "disconnect"]


async def test_a_timeout_below_the_ping_interval_closes_the_connection(
    world: World, instances: Instances, tmp_path: Path
) -> None:
    """The counter-check: the same connection is closed if the timeout is too short."""
    changed = {old: old.replace("60s", "500ms") for old in TIMEOUTS}
    with before(tmp_path, [port for _, port in instances], changed=changed) as url:
        async with JsClient() as client:
            await client.connect(url, world.token(name("alice")), reconnection=False)
            await client.until(lambda: any(line["kind"] == "disconnect" for line in client.lines))


async def test_request_bodies_are_bounded(instances: Instances, tmp_path: Path) -> None:
    """nginx answers 413 to a body larger than any frame, and passes a smaller one on."""
    with before(tmp_path, [port for _, port in instances]) as url:
        async with aiohttp.ClientSession() as http:
            address = url + "/socket.io/?EIO=4&transport=polling"
            async with http.post(address, data=io.BytesIO(b"x" * 2_200_000)) as answer:
                assert answer.status == 413
            async with http.post(address, data=b"x" * 1_000_000) as answer:
                assert (answer.status, "WebSocket only" in await answer.text()) == (400, True)


@pytest.mark.parametrize("upgrade", [False, True])
async def test_polling_works_with_stickiness(
    world: World, polled: Instances, tmp_path: Path, upgrade: bool
) -> None:
    """With the balancer's cookie a client stays on one of two instances, also while it upgrades."""
    with before(tmp_path, [port for _, port in polled], sticky=True) as url:
        async with JsClient() as client:
            await client.connect(
                url,
                world.token(name("alice")),
                transports=["polling", "websocket"] if upgrade else ["polling"],
                withCredentials=True,
                upgrade=upgrade,
            )
            asked = {"type": "direct", "members": [name("bob")]}
            room_id = (await ok(client, "room.create", asked))["room"]["room_id"]
            for n in range(10):
                message = {"room_id": room_id, "client_msg_id": f"m{n}", "text": "hi"}
                assert (await client.emit("message.send", message))["ok"]
            await client.until(lambda: len(client.of_type("message.new")) == 10)
            assert not [line for line in client.lines if line["kind"] == "disconnect"]


async def test_polling_without_stickiness_fails_clearly(polled: Instances, tmp_path: Path) -> None:
    """A request that reaches the other instance is answered 400, which names sticky sessions."""
    with before(tmp_path, [port for _, port in polled]) as url:
        address = url + "/socket.io/?EIO=4&transport=polling"
        async with aiohttp.ClientSession() as http:
            async with http.get(address) as answer:
                sid = (await answer.text()).split('"')[3]
            answers = []
            for _ in range(2):
                async with http.post(f"{address}&sid={sid}", data="3") as posted:
                    answers.append((posted.status, await posted.text()))
        assert (200, "ok") in answers
        assert [status for status, text in answers if "sticky sessions" in text] == [400]
