"""The connection of the page's client, by Node, at a server in this process."""

from __future__ import annotations

import asyncio

from tests.helpers.node import JS, node
from tests.helpers.serving import serving
from tests.helpers.waiting import eventually

NAMESPACES = ("/chat", "/receipts", "/presence")


async def test_a_client_above_the_connection_limit_reconnects_later() -> None:
    """The socket.io client stays away for good: the client connects every namespace again."""
    async with serving(names=NAMESPACES) as (server, url):
        here = server.manager.sid_from_eio_sid
        port = url.rpartition(":")[2]
        page = await asyncio.create_subprocess_exec(
            node(), "wire.mjs", port, cwd=JS, stdout=asyncio.subprocess.PIPE
        )

        def connected() -> list[str]:
            return [
                sid for sid in server.eio.sockets if all(here(sid, name) for name in NAMESPACES)
            ]

        try:
            await eventually(connected)
            (first,) = connected()
            server.close(first, "connection_limit", 200)
            await eventually(lambda: [sid for sid in connected() if sid != first])
            (second,) = (sid for sid in connected() if sid != first)
            server.close(second, "banned")
            told, _ = await page.communicate()  # it ends: nothing is left that would connect again
            lines = told.decode().splitlines()
            assert "offline connection_limit" in lines
            assert lines[-1] == "refused banned"
        finally:
            if page.returncode is None:
                page.kill()
                await page.wait()
