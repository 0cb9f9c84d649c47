"""An instance whose connection to Redis a test can cut."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from tests.helpers.pair import FAST
from tests.helpers.proxy import Proxy
from tests.helpers.waiting import PATIENCE, until
from tests.helpers.world import Process, World, free_port, ready


def readiness(url: str) -> tuple[int, list[str]]:
    """Return status and reasons of /health/ready."""
    try:
        with urllib.request.urlopen(url + "/health/ready", timeout=PATIENCE) as answer:
            return answer.status, json.load(answer)["reasons"]
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)["reasons"]


@asynccontextmanager
async def deaf_instance(pair: World, folder: Any, full: bool) -> AsyncIterator[tuple[Proxy, str]]:
    """Run a third instance behind a proxy of Redis, as `pair.urls[2]`."""
    where = urlsplit(pair.stack.settings.redis_url)
    assert where.hostname is not None
    assert where.port is not None
    async with Proxy((where.hostname, where.port)) as proxy:
        url = f"http://127.0.0.1:{(port := free_port())}"
        own = {"RTS_PORT": str(port), "RTS_REDIS_URL": f"redis://127.0.0.1:{proxy.port}/0"}
        environment = pair.stack.environment() | ({} if full else FAST) | own
        process = Process("serve", environment, folder.mktemp("deaf") / "web.log")
        process.start()
        pair.urls.append(url)
        try:
            await asyncio.to_thread(until, lambda: ready(url))
            yield proxy, url
        finally:
            pair.urls.remove(url)
            await asyncio.to_thread(process.stop)
