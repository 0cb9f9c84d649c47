"""A rolling restart of both instances under load, behind nginx (R6)."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from asyncio.subprocess import PIPE
from collections import Counter
from pathlib import Path
from typing import Any

from tests.deployment.instances import Instances
from tests.deployment.platform import before
from tests.helpers.node import ensure_modules, node
from tests.helpers.waiting import PATIENCE, until
from tests.helpers.world import Process, World, name, ready

CLIENTS = 20
RETRYABLE = {"unavailable", "timeout", "internal", "rate_limited", "no_ack"}


async def restarted(process: Process, port: int) -> float:
    """Restart a process; return the seconds from SIGTERM until it had ended."""
    began = time.monotonic()
    process.signal(signal.SIGTERM)
    await asyncio.to_thread(until, lambda: process.ended)
    took = time.monotonic() - began
    assert process.stop() == 0
    process.start()
    await asyncio.to_thread(until, lambda: ready(f"http://127.0.0.1:{port}"))
    return took


async def rolled(
    world: World, instances: Instances, folder: Path, every: int
) -> tuple[dict[str, Any], list[float]]:
    """Restart the instances one by one; return what clients saw, and the times to end."""
    modules = await asyncio.to_thread(ensure_modules)
    tokens = [world.token(name("member")) for _ in range(CLIENTS)]
    with before(folder, [port for _, port in instances]) as url:
        given = json.dumps({"url": url, "tokens": tokens, "every": every})
        out = folder / "out.json"
        script = await asyncio.create_subprocess_exec(
            node(), "rolling.mjs", given, str(out), cwd=modules, stdin=PIPE, stdout=PIPE
        )
        assert script.stdin is not None
        assert script.stdout is not None
        try:
            async with asyncio.timeout(PATIENCE):
                assert json.loads(await script.stdout.readline()) == {"ready": True}
            await asyncio.sleep(every / 1000)  # every client has sent a message by then
            ends = [await restarted(process, port) for process, port in instances]
            script.stdin.close()
            async with asyncio.timeout(PATIENCE):
                assert await script.wait() == 0
        finally:
            if script.returncode is None:
                script.kill()
                await script.wait()
    return json.loads(out.read_text()), ends


async def test_rolling_restart(
    world: World, instances: Instances, tmp_path: Path, full: bool
) -> None:
    """No acked message is lost, errors are retryable, and closes are spread over the drain."""
    spread = 20.0 if full else 2.0
    seen, ends = await rolled(world, instances, tmp_path, 4_000 if full else 1_000)
    history = seen["history"]
    assert len(seen["acked"]) > CLIENTS
    assert set(seen["acked"]) <= set(history)
    assert len(set(history)) == len(history)
    assert seen["final"] == []
    assert set(seen["codes"]) <= RETRYABLE
    assert seen["resets"] == 0
    for client in seen["clients"]:
        offsets = client["offsets"]
        assert offsets == list(range(offsets[0], offsets[0] + len(offsets)))
    reconnects = Counter(len(client["lost"]) for client in seen["clients"])
    assert max(reconnects) <= 2
    closings = [one for client in seen["clients"] for one in client["closings"]]
    assert Counter(one["code"] for one in closings) == {"draining": sum(reconnects.elements())}
    drains = [process.log_lines("drained")[0] for process, _ in instances]
    spreads = [drain["last_close"] - drain["first_close"] for drain in drains]
    assert min(spreads) >= spread * 0.99
    assert min(drain["closed"] for drain in drains) > 1
    assert sum(drain["closed"] for drain in drains) >= len(closings)
    assert max(ends) <= 60
    print(
        f"{len(seen['acked'])} acked, none lost; refused and repeated: {seen['codes']};",
        f"clients by reconnects: {dict(reconnects)};",
        f"closes spread over {[round(s, 3) for s in spreads]} s;",
        f"ended {[round(took, 1) for took in ends]} s after SIGTERM",
    )
