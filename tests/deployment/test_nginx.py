"""A real nginx with the `.platform` files, as seen by clients and by the outside."""

from __future__ import annotations

import asyncio
import io
import re
import signal
import subprocess
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

import aiohttp
import pytest

from rts_server.config import Settings
from rts_server.engine.message_reader import MAX_ANSWERABLE_BYTES
from tests.deployment.instances import Instances
from tests.deployment.platform import OURS, before, command, platform, running
from tests.helpers.commands import ok
from tests.helpers.js_client import JsClient
from tests.helpers.rest import Rest
from tests.helpers.waiting import PATIENCE, until
from tests.helpers.world import World, free_port, free_ports, name, ready

TIMEOUTS = ("proxy_read_timeout    60s", "proxy_send_timeout    60s")


def fetch(url: str, **headers: str) -> tuple[int, str]:
    """Status and body of a GET."""
    request = urllib.request.Request(
        url, headers={k.replace("_", "-"): v for k, v in headers.items()}
    )
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
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


async def test_a_process_is_called_from_several_addresses(tmp_path: Path) -> None:
    """Each has ports of its own, so that they are not the limit of a process's sockets."""
    sources: Counter[str] = Counter()

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sources[writer.get_extra_info("peername")[0]] += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    front = free_port()
    process = await asyncio.start_server(served, "127.0.0.1", 0)
    port = process.sockets[0].getsockname()[1]
    async with process, aiohttp.ClientSession() as http:
        with running({front: platform(tmp_path / "platform", front, port)}):
            for path in [f"/v1/{n}" for n in range(80)] + ["/socket.io/"] * 80:
                url = f"http://127.0.0.1:{front}{path}"
                async with http.get(url, headers={"Connection": "close"}) as answer:
                    assert answer.status == 200
    assert sorted(sources) == [f"127.0.0.{n}" for n in (2, 3, 4, 5)]
    assert sources.total() == 160


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


async def test_a_handshake_goes_to_a_process_that_does_not_drain(
    world: World, instances: Instances, tmp_path: Path
) -> None:
    """While a web process of an instance drains, the others take its clients; it stays ready."""
    front = free_port()
    async with (
        world.instance(tmp_path, RTS_DRAIN_SPREAD="40") as (draining, url),
        JsClient() as one,
        JsClient() as other,  # closed at the end of the spread: the drain lasts for the test
    ):
        for client in (one, other):
            await client.connect(url, world.token(name("alice")), reconnection=False)
        ports = [int(url.rpartition(":")[2]), instances[0][1]]
        with running({front: platform(tmp_path / "platform", front, *ports)}):
            draining.signal(signal.SIGTERM)
            await asyncio.to_thread(until, lambda: not ready(url))
            own = f"http://127.0.0.1:{front}"
            assert (await asyncio.to_thread(fetch, own + "/health/ready"))[0] == 200
            for number in range(4):
                async with JsClient() as client:
                    await client.connect(own, world.token(name(f"bob{number}")), reconnection=False)
        draining.kill()


async def test_an_instance_is_ready_while_one_of_its_processes_hangs(
    world: World, instances: Instances, tmp_path: Path
) -> None:
    """nginx gives up on the one in time for the balancer's check, and asks another."""
    front = free_port()
    async with world.instance(tmp_path) as (hanging, url):
        ports = [int(url.rpartition(":")[2]), instances[0][1]]
        with running({front: platform(tmp_path / "platform", front, *ports)}):
            hanging.signal(signal.SIGSTOP)
            try:
                for _ in range(2):
                    own = f"http://127.0.0.1:{front}/health/ready"
                    assert (await asyncio.to_thread(fetch, own))[0] == 200
            finally:
                hanging.signal(signal.SIGCONT)


async def test_polling_stays_on_the_process_that_has_the_session(
    world: World, polled: Instances, tmp_path: Path
) -> None:
    """Behind the nginx of one instance, polls of a client follow its session id, also upgraded."""
    front = free_port()
    ports = [port for _, port in polled]
    with running({front: platform(tmp_path / "platform", front, *ports)}):
        for upgrade in (False, True):
            for number in range(3):
                async with JsClient() as client:
                    await client.connect(
                        f"http://127.0.0.1:{front}",
                        world.token(name(f"alice{number}")),
                        transports=["polling", "websocket"] if upgrade else ["polling"],
                        upgrade=upgrade,
                    )
                    assert (await client.emit("room.list", {}))["ok"]
                    assert not [line for line in client.lines if line["kind"] == "disconnect"]


async def test_each_process_has_its_metrics(instances: Instances, tmp_path: Path) -> None:
    """/metrics is the first process's, /metrics/PORT that of another one."""
    front = free_port()
    ports = [port for _, port in instances]
    with running({front: platform(tmp_path / "platform", front, *ports)}):
        for path, port in (("/metrics", ports[0]), (f"/metrics/{ports[1]}", ports[1])):
            status, through = await asyncio.to_thread(fetch, f"http://127.0.0.1:{front}{path}")
            _, direct = await asyncio.to_thread(fetch, f"http://127.0.0.1:{port}/metrics")
            started = re.compile(r"^process_start_time_seconds .*$", re.MULTILINE)
            assert (status, started.findall(through)) == (200, started.findall(direct))
        closed = await asyncio.to_thread(
            fetch, f"http://127.0.0.1:{front}/metrics/{ports[1]}", X_Forwarded_For="203.0.113.9"
        )
        assert closed[0] == 404


async def test_rest_is_served_by_any_process(
    world: World, instances: Instances, tmp_path: Path
) -> None:
    """The first process may be gone: /v1/ is answered by the other one."""
    front, gone = free_ports(2)
    with running({front: platform(tmp_path / "platform", front, gone, instances[1][1])}):
        async with Rest(f"http://127.0.0.1:{front}", world.token("o", scope="operator")) as rest:
            for _ in range(3):
                assert await rest.ok("GET", "/v1/instances")


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
