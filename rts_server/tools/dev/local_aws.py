"""The local AWS as a process: ministack, bound to 127.0.0.1, saving its state when told to end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
import time
from typing import Any

LONGEST_END = 4.0
BATCH_LOOKS = 75


async def serve(port: int) -> None:
    """Serve until SIGTERM or SIGINT."""
    from hypercorn.asyncio import serve as hypercorn
    from hypercorn.config import Config
    from ministack.app import app

    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.keep_alive_timeout = 75
    config.graceful_timeout = 0.3  # long polls wait 20 s and lose nothing
    told = asyncio.Event()
    loop = asyncio.get_running_loop()

    def hear(*_: object) -> None:
        # Not through the loop: it may be busy, and the bound must run from here.
        threading.Thread(target=_give_up, daemon=True).start()
        loop.call_soon_threadsafe(told.set)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, hear)

    async def end() -> None:
        await told.wait()
        await _finish_batches()

    await hypercorn(app, config, shutdown_trigger=end)
    _leave()


async def _finish_batches() -> None:
    """Let the event-source mappings come to rest: ministack copies a queue while they edit it."""
    functions: Any = sys.modules.get("ministack.services.lambda_svc")
    if functions is None:
        return
    functions._poll_sqs = lambda: False
    for _ in range(BATCH_LOOKS):
        if not functions._esm_inflight:
            return
        await asyncio.sleep(0.02)


def _give_up() -> None:
    """The parent may be gone, so the bound is kept here."""
    time.sleep(LONGEST_END)
    os.killpg(os.getpgrp(), signal.SIGKILL)


def _leave() -> None:
    """End with all workers of the functions; threads that still wait are not waited for."""
    logging.shutdown()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(os.getpgrp(), signal.SIGTERM)
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
