"""What was given up, sent again until nothing is left or nothing goes any more."""

from __future__ import annotations

from typing import Any

from rts_server.tools.cli.console import Console
from rts_server.tools.cli.server import Server


async def replay(server: Server, screen: Console, path: str, body: dict[str, Any]) -> int:
    """Ask for it part by part, and show how much it was; the exit code, 1 when some are left."""
    total = 0
    while True:
        told = await server.ask("POST", path, body)
        total += told["replayed"]
        if not told["left"] or not told["replayed"]:
            break
    text = f"{total} replayed, {told['left']} left."
    screen.show({"type": "summary", "replayed": total, "left": told["left"]}, text)
    return 1 if told["left"] else 0
