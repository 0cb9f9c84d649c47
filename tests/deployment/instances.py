"""Two web processes with short times, to run behind nginx."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.helpers.world import Process, World

SHORT = {"RTS_PING_INTERVAL": "1", "RTS_PING_TIMEOUT": "1", "RTS_DRAIN_SPREAD": "2"}


Instances = list[tuple[Process, int]]


@contextmanager
def two(world: World, folder: Path, **environment: str) -> Iterator[Instances]:
    """Run two instances; yield each with its port."""
    with ExitStack() as stack:
        both = []
        for n in range(2):
            (folder / str(n)).mkdir()
            running = world.shared_instance(folder / str(n), **environment)
            process, url = stack.enter_context(running)
            both.append((process, int(url.rpartition(":")[2])))
        yield both
