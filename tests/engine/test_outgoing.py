"""The outgoing queue of a connection is bounded by bytes, and its count is always right."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rts_server.engine.outgoing import OutgoingQueue, size
from rts_server.engine.packets import Encoded, event_packet
from rts_server.engine.transport import MAX_PENDING_BYTES


def packet(length: int) -> Encoded:
    """A MESSAGE with so many characters."""
    return Encoded("x" * length)


def bounded() -> tuple[OutgoingQueue, list[None]]:
    """A queue, and the list of its overflows."""
    refused = list[None]()
    return OutgoingQueue(on_overflow=lambda: refused.append(None)), refused


STEPS = st.lists(
    st.sampled_from([0, 1, 60_000, 400_000, MAX_PENDING_BYTES, MAX_PENDING_BYTES + 1, -1, -2])
)


@given(STEPS)
def test_the_queue_is_bounded_and_counts_its_bytes(steps: list[int]) -> None:
    """At most 1 MiB waits; an overflow is reported; reading makes room, in order."""
    queue, refused = bounded()
    held: list[Encoded | None] = []
    for step in steps:
        if step == -1 and held:
            assert queue.get_nowait() is held.pop(0)
        elif step == -2:
            queue.put_nowait(None)  # the engine's own end mark always fits
            held.append(None)
        elif step >= 0:
            offered, fits = packet(step), queue.bytes + step <= MAX_PENDING_BYTES
            queue.write(offered)
            assert refused == ([] if fits else [None])
            refused.clear()
            held += [offered] if fits else []
        assert queue.bytes == sum(size(item) for item in held)
        assert queue.waiting.qsize() == len(held)


def test_a_shared_packet_counts_in_every_queue() -> None:
    """One packet object for many connections counts in the queue of each."""
    shared = event_packet("/chat", "a", '{"x":1}')
    queues = [OutgoingQueue() for _ in range(3)]
    for queue in queues:
        queue.write(shared)
    assert {queue.bytes for queue in queues} == {size(shared)}
    assert len({id(queue.get_nowait()) for queue in queues}) == 1


async def test_the_queue_can_be_awaited_like_an_asyncio_queue() -> None:
    """The library uses get and join to wait for the last packets."""
    queue = OutgoingQueue()
    queue.write(packet(5))
    assert (await queue.get()).data == "xxxxx"
    await queue.join()
    assert queue.bytes == 0


def test_the_closing_packets_fit_into_a_full_queue() -> None:
    """The reason and the end follow a full queue, and the connection is marked as ended."""
    queue = OutgoingQueue()
    full, last = packet(MAX_PENDING_BYTES), packet(100)
    queue.write(full)
    assert not queue.ended
    queue.end(last)
    assert queue.ended
    queue.write(packet(1))
    assert [queue.get_nowait() for _ in range(3)] == [full, last, None]
