"""The connection of the demo page, by Node, at a server in this process."""

from __future__ import annotations

import asyncio

from tests.helpers.node import JS, node
from tests.helpers.serving import serving
from tests.helpers.waiting import eventually


async def test_who_is_one_too_many_comes_back_later() -> None:
    """The socket.io client stays away for good: the page connects every namespace again."""
    async with serving() as (server, url):
        here = server.manager.sid_from_eio_sid
        port = url.rpartition(":")[2]
        page = await asyncio.create_subprocess_exec(
            node(), "wire.mjs", port, cwd=JS, stdout=asyncio.subprocess.PIPE
        )

        def connected() -> list[str]:
            names = ("/chat", "/receipts")
            return [sid for sid in server.eio.sockets if all(here(sid, name) for name in names)]

        try:
            await eventually(connected)
            (first,) = connected()
            server.close(first, "connection_limit", 200)
            await eventually(lambda: [sid for sid in connected() if sid != first])
            (second,) = (sid for sid in connected() if sid != first)
            server.close(second, "banned")
            told, _ = await page.communicate()  # it ends: nothing is left that would connect again
            lines = told.decode().splitlines()
            assert "too many connections, trying again later …" in lines
            assert lines[-1] == "closed by the server"
        finally:
            if page.returncode is None:
                page.kill()
                await page.wait()
