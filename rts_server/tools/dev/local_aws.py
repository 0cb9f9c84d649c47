"""The local AWS as a process: ministack, bound to 127.0.0.1, which saves its state on SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
import time
from typing import Any

LOCAL_AWS_KILL_AFTER_SECONDS = 4.0
BATCH_CHECKS = 75
BATCH_CHECK_EVERY_SECONDS = 0.02


async def serve(port: int) -> None:
    """Serve until SIGTERM or SIGINT."""
    from hypercorn.asyncio import serve as hypercorn
    from hypercorn.config import Config
    from ministack.app import app

    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.keep_alive_timeout = 75
    config.graceful_timeout = 0.3  # long polls wait 20 s and lose nothing when they are cut off
    stop_requested = asyncio.Event()
    loop = asyncio.get_running_loop()

    def request_stop(*_: object) -> None:
        # In a thread, not on the loop: a busy loop must not delay the deadline.
        threading.Thread(target=_kill_after_deadline, daemon=True).start()
        loop.call_soon_threadsafe(stop_requested.set)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, request_stop)

    async def wait_for_stop() -> None:
        await stop_requested.wait()
        await _finish_batches()

    await hypercorn(app, config, shutdown_trigger=wait_for_stop)
    _exit_with_workers()


async def _finish_batches() -> None:
    """Wait until no event-source mapping edits a queue, because ministack copies the queues then.

    Gives up after BATCH_CHECKS checks.
    """
    functions: Any = sys.modules.get("ministack.services.lambda_svc")
    if functions is None:
        return
    functions._poll_sqs = lambda: False
    for _ in range(BATCH_CHECKS):
        if not functions._esm_inflight:
            return
        await asyncio.sleep(BATCH_CHECK_EVERY_SECONDS)


def _kill_after_deadline() -> None:
    """Enforced here and not by the parent, which may have died."""
    time.sleep(LOCAL_AWS_KILL_AFTER_SECONDS)
    os.killpg(os.getpgrp(), signal.SIGKILL)


def _exit_with_workers() -> None:
    """Exit together with the workers of the functions, without joining waiting threads."""
    logging.shutdown()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(os.getpgrp(), signal.SIGTERM)
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
