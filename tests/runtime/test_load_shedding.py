"""How late the loop is, seen and counted."""

from __future__ import annotations

import asyncio
import time

from rts_server import metrics
from rts_server.runtime.load_shedding import (
    HIGH_LAG_SECONDS,
    LOOP_LAG_MEASURE_SECONDS,
    LoadShedding,
)
from tests.helpers.waiting import eventually


async def test_a_blocked_loop_shows_and_passes() -> None:
    """What holds up the loop for 0.3 s is seen as such; a moment later it is over."""
    pressure, before = LoadShedding(), metrics.LOOP_LAG._sum.get()
    pressure.start()
    asyncio.get_running_loop().call_soon(time.sleep, LOOP_LAG_MEASURE_SECONDS + 0.3)
    await eventually(lambda: pressure.high)
    assert metrics.LOOP_LAG._sum.get() - before >= 0.29
    await eventually(lambda: pressure.lag < HIGH_LAG_SECONDS)
    pressure.close()
