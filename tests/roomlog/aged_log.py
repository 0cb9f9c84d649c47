"""A hot log of old events."""

from __future__ import annotations

from rts_server import keys
from tests.helpers.bench import Bench


async def logged(bench: Bench, room_id: str, events: int, age: float) -> None:
    """Put events of this age, in seconds, in the place of the log."""
    room = keys.room(room_id)
    seconds, _ = await bench.redis.time()
    at = round(1000 * (seconds - age))
    async with bench.redis.pipeline() as pipe:
        pipe.xtrim(room.log, maxlen=0)
        for n in range(events):
            pipe.xadd(room.log, {"e": "{}", "t": at}, id=f"1-{n + 3}")
        await pipe.execute()
    shape = (await bench.head(room_id))[b"shape"].split(b":")
    shape[2] = b"%d" % events
    await bench.redis.hset(room.head, "shape", b":".join(shape))
