"""Keeps the pauses of the garbage collector short, however much a process holds."""

from __future__ import annotations

import gc


def keep_pauses_short() -> None:
    """Exclude from garbage collection what exists now, and what survives each full collection.

    A full collection walks all objects that could be part of a cycle, in one pause: 0.1 to 0.2 s
    for those of the imported modules, as much again for 500,000 rooms. So each walks only what was
    made since the one before. Reference counts free an excluded object as any other; only a cycle
    that was excluded while it was in use stays for ever. Closed connections and left rooms make
    none (tests/runtime/test_garbage.py).
    """
    gc.collect()
    gc.freeze()
    if _freeze_survivors not in gc.callbacks:
        gc.callbacks.append(_freeze_survivors)


def _freeze_survivors(phase: str, info: dict[str, int]) -> None:
    if phase == "stop" and info["generation"] == 2:
        gc.freeze()
