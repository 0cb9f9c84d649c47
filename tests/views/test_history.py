"""History: archive and hot log are one sequence."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from rts_server import errors, keys
from rts_server.config import Settings
from rts_server.domain.size_limits import SizeLimits
from rts_server.views.history import SeqRange, epoch_of
from tests.helpers.bench import Bench, failed
from tests.helpers.deployed import Deployed

CASES = {
    "all hot": {"stored": 0, "hot": 500, "lost": False},
    "all in both": {"stored": 14, "hot": 500, "lost": False},
    "overlapping": {"stored": 9, "hot": 500, "lost": False},
    "meeting": {"stored": 14, "hot": 6, "lost": False},
    "all archived": {"stored": 14, "hot": 1, "lost": False},
    "two epochs": {"stored": 14, "hot": 4, "lost": True},
}


async def filled(deployed: Deployed, case: dict[str, Any]) -> tuple[str, list[dict[str, Any]]]:
    """A room of 14 messages, one failed, one deleted, one edited, and the messages to be listed."""
    room_id = await deployed.group("alice", "bob")
    send = deployed.services.messages.send
    for n in range(1, 15):
        await send(room_id, "alice" if n % 2 else "bob", {"client_msg_id": f"m{n}", "text": f"{n}"})
        if n == case["stored"]:
            await deployed.store()
        if case["lost"] and n == 9:
            await deployed.store()
            await deployed.redis.flushall()
            async with deployed.relaying():
                await send(room_id, "alice", {"client_msg_id": "m10", "text": "10"})
    ids = {n: keys.message_id(room_id, "alice" if n % 2 else "bob", f"m{n}") for n in range(1, 15)}
    if case["lost"]:
        ids[10] = keys.message_id(room_id, "alice", "m10")
    return room_id, [{"message_id": ids[n], "text": str(n)} for n in range(1, 15)]


@pytest.mark.parametrize("case", CASES)
async def test_any_page_is_a_piece_of_one_sequence(
    redis: Redis, valkey_url: str, tables: None, case: str
) -> None:
    """A page of any bounds, limit and direction is ascending, and `more` is right."""
    given_case = CASES[case]
    settings = Settings(
        redis_url=valkey_url, hot_log_events=int(given_case["hot"]), hot_log_floor=0.0
    )
    async with Deployed(settings, redis) as deployed:
        room_id, expected = await filled(deployed, given_case)
        await Bench(redis, settings).trim(room_id)
        whole, more = await deployed.services.history.page(
            room_id, "alice", SeqRange(0, None, 100, "oldest")
        )
        assert not more
        texts = [one["text"] for one in whole]
        seqs = [one["seq"] for one in whole]
        assert texts[:9] == [one["text"] for one in expected][:9]
        assert len({one["message_id"] for one in whole}) == len(whole)
        assert seqs == list(range(1, len(whole) + 1))
        assert [(one["epoch"], one["seq"]) for one in whole] == sorted(
            (one["epoch"], one["seq"]) for one in whole
        )
        bounds = itertools.product((0, 1, 5, 9, 12, 14), (None, 1, 2, 9, 10, 13, 15))
        for low, high in random.Random(7).sample(list(bounds), 16):
            for limit, direction in ((1, "newest"), (4, "newest"), (1, "oldest"), (4, "oldest")):
                page, more = await deployed.services.history.page(
                    room_id,
                    "bob",
                    SeqRange(low, high, limit, direction),  # type: ignore[arg-type]
                )
                inside = [s for s in seqs if s > low and (high is None or s < high)]
                cut = inside[-limit:] if direction == "newest" else inside[:limit]
                asked = (low, high, limit, direction)
                assert [one["seq"] for one in page] == cut, asked
                assert more == (len(inside) > len(cut)), asked
        await deployed.store()


@pytest.mark.parametrize("stored", ["nothing", "the message", "everything"])
async def test_pages_have_the_newest_state_of_a_message(deployed: Deployed, stored: str) -> None:
    """Edits, deletions and failures show before and after the archive has them (D9)."""
    messages, history = deployed.services.messages, deployed.services.history
    room_id = await deployed.group("alice", "bob")
    ids = {}
    for name in ("edited", "deleted", "failed", "plain"):
        await deployed.send(room_id, "alice", name, name)
        ids[name] = keys.message_id(room_id, "alice", name)
    if stored != "nothing":
        await deployed.store()
    await messages.edit(room_id, "alice", ids["edited"], {"text": "better"})
    await messages.delete(room_id, "alice", ids["deleted"])
    await deployed.services.appender.append(failed(room_id, ids["failed"], 3))
    if stored == "everything":
        await deployed.store()
    page, _ = await history.page(room_id, "bob", SeqRange(0, None, 10, "oldest"))
    seen = {one["client_msg_id"]: one for one in page}
    assert set(seen) == {"edited", "deleted", "plain"}
    assert (seen["edited"]["text"], seen["edited"]["version"]) == ("better", 2)
    assert (seen["deleted"]["text"], seen["deleted"]["deleted_by"]) == ("", "alice")
    for name, message in seen.items():
        assert await history.message(room_id, "bob", ids[name]) == message
    with pytest.raises(errors.NotFound):
        await history.message(room_id, "bob", ids["failed"])
    await deployed.store()


async def test_strangers_and_former_members_see_nothing(deployed: Deployed) -> None:
    """Pages and messages are `not_found`, warm and cold, as in a room that does not exist (A4)."""
    room_id = await deployed.group("alice", "bob")
    await deployed.send(room_id, "alice", "m")
    await deployed.services.memberships.remove(room_id, "alice", ["bob"])
    await deployed.store()
    message_id = keys.message_id(room_id, "alice", "m")
    for _ in ("warm", "cold"):
        async with deployed.relaying():
            for user in ("bob", "eve"):
                for room in (room_id, "nowhere"):
                    with pytest.raises(errors.NotFound):
                        await deployed.services.history.page(
                            room, user, SeqRange(0, None, 9, "newest")
                        )
                    with pytest.raises(errors.NotFound):
                        await deployed.services.history.message(room, user, message_id)
            assert (await deployed.services.history.message(room_id, "alice", message_id))[
                "text"
            ] == "hi"
            page, _ = await deployed.services.history.page(
                room_id, "alice", SeqRange(0, None, 1, "oldest")
            )
            assert page[0]["message_id"] == message_id
        await deployed.redis.flushall()


async def test_a_page_around_a_seq_has_it_in_its_middle(deployed: Deployed) -> None:
    """Half of the page is on either side; the seq itself is in the newer half."""
    room_id = await deployed.group("alice")
    for n in range(9):
        await deployed.send(room_id, "alice", f"m{n}")

    async def around(seq: int, limit: int) -> tuple[list[int], bool]:
        found, more = await deployed.services.history.around(room_id, "alice", seq, limit)
        return [one["seq"] for one in found], more

    assert await around(5, 4) == ([3, 4, 5, 6], True)
    assert await around(5, 1) == ([5], True)
    assert await around(1, 4) == ([1, 2], True)
    assert await around(9, 20) == (list(range(1, 10)), False)
    assert await around(0, 2) == ([1], True)
    await deployed.store()


async def test_a_page_ends_where_the_answer_is_full(
    redis: Redis, valkey_url: str, tables: None
) -> None:
    """It is shorter, says `more`, and the next page continues; no page is empty."""
    settings = Settings(redis_url=valkey_url, limits=SizeLimits(answer_bytes=1_500))
    async with Deployed(settings, redis) as deployed:
        room_id = await deployed.group("alice")
        for n in range(6):
            await deployed.send(room_id, "alice", f"m{n}", "x" * (3_000 if n == 3 else 100))
        seen, low, more = [], 0, True
        while more:
            page, more = await deployed.services.history.page(
                room_id, "alice", SeqRange(low, None, 50, "oldest")
            )
            assert page
            seen += [one["seq"] for one in page]
            low = seen[-1]
        assert seen == [1, 2, 3, 4, 5, 6]
        await deployed.store()


STARTS = st.lists(st.integers(0, 50), min_size=1, max_size=6).map(
    lambda seqs: [(epoch, seq) for epoch, seq in enumerate([0, *sorted(seqs)], start=1)]
)


@given(STARTS, st.integers(1, 60))
def test_the_epoch_of_a_seq_is_the_last_that_began_below_it(
    starts: list[tuple[int, int]], seq: int
) -> None:
    """An epoch without messages has no seq."""
    found = epoch_of(starts, seq)
    assert dict(starts)[found] < seq
    assert all(start >= seq for epoch, start in starts if epoch > found)
