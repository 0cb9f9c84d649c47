"""Replay of records that were given up: repeated until none is left or none can be replayed."""

from __future__ import annotations

from collections.abc import Mapping

from rts_server.tools.cli.api_client import ApiClient
from rts_server.tools.cli.output import CommandOutput


async def replay_all(
    client: ApiClient, output: CommandOutput, path: str, body: Mapping[str, object]
) -> int:
    """Request batches from `path`, print the total, return the exit code: 1 if some are left."""
    total = 0
    while True:
        answer = await client.request("POST", path, body)
        total += answer["replayed"]
        if not answer["left"] or not answer["replayed"]:
            break
    text = f"{total} replayed, {answer['left']} left."
    row = {"type": "summary", "replayed": total, "left": answer["left"]}
    output.print_result(row, text)
    return 1 if answer["left"] else 0
