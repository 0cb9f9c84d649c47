"""An instance whose connection to Redis a test can cut."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from tests.helpers.node_ports import NodePorts
from tests.helpers.pair import FAST
from tests.helpers.proxy import Proxy
from tests.helpers.valkey import place
from tests.helpers.waiting import PATIENCE, until
from tests.helpers.world import Process, World, free_port, ready
from tests.helpers.world_redis import servers


def readiness(url: str) -> tuple[int, list[str]]:
    """Return status and reasons of /health/ready."""
    try:
        with urllib.request.urlopen(url + "/health/ready", timeout=PATIENCE) as answer:
            return answer.status, json.load(answer)["reasons"]
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)["reasons"]


class Proxies:
    """A proxy of each server of a Redis, in their order."""

    def __init__(self, each: list[Proxy]) -> None:
        self.each = each

    def cut(self) -> None:
        """Silence subscribers in both directions."""
        for proxy in self.each:
            proxy.cut()

    def heal(self) -> None:
        """Let everything pass again."""
        for proxy in self.each:
            proxy.heal()


@asynccontextmanager
async def proxied_redis(world: World) -> AsyncIterator[Proxies]:
    """Run proxies of all servers of a Redis; who asks one of them hears of the others."""
    ports = NodePorts()
    async with AsyncExitStack() as stack:
        each = []
        for server in servers(world):
            proxy = await stack.enter_async_context(Proxy(place(server.url), ports=ports))
            ports.add(server.port, proxy.port)
            each.append(proxy)
        yield Proxies(each)


@asynccontextmanager
async def deaf_instance(pair: World, folder: Any, full: bool) -> AsyncIterator[tuple[Proxies, str]]:
    """Run a third instance behind a proxy of Redis, as `pair.urls[2]`."""
    async with proxied_redis(pair) as proxies:
        url = f"http://127.0.0.1:{(port := free_port())}"
        first = proxies.each[0].port
        own = {"RTS_PORT": str(port), "RTS_REDIS_URL": f"redis://127.0.0.1:{first}/0"}
        environment = pair.stack.environment() | ({} if full else FAST) | own
        process = Process("serve", environment, folder.mktemp("deaf") / "web.log")
        process.start()
        pair.urls.append(url)
        try:
            await asyncio.to_thread(until, lambda: ready(url))
            yield proxies, url
        finally:
            pair.urls.remove(url)
            await asyncio.to_thread(process.stop)
