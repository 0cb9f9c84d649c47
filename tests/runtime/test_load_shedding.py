"""How late the loop is, seen and counted."""

from __future__ import annotations

import asyncio
import time

from rts_server import metrics
from rts_server.runtime.load_shedding import (
    HIGH_LAG_SECONDS,
    MEASURE_SECONDS,
    LoadShedding,
)
from tests.helpers.waiting import eventually


async def test_a_blocked_loop_raises_the_lag_for_a_while() -> None:
    """A block of the loop is measured as lag; soon after it the lag is low again."""
    pressure, before = LoadShedding(), metrics.LOOP_LAG._sum.get()
    pressure.start()
    asyncio.get_running_loop().call_soon(time.sleep, MEASURE_SECONDS + 0.3)
    await eventually(lambda: pressure.high)
    assert metrics.LOOP_LAG._sum.get() - before >= 0.29
    await eventually(lambda: pressure.lag < HIGH_LAG_SECONDS)
    pressure.close()
