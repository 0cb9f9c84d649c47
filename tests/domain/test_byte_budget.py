"""The byte budget of an answer."""

from __future__ import annotations

import orjson

from rts_server.domain.byte_budget import ByteBudget, fitting_items


def test_the_first_item_always_fits() -> None:
    """Otherwise a client that pages on would never get past a large one."""
    budget = ByteBudget(10)
    assert budget.take(50)
    assert not budget.take(1)


def test_a_strict_budget_refuses_the_first_item_too() -> None:
    """An item that does not fit reserves nothing."""
    budget = ByteBudget(10, first_always_fits=False)
    assert not budget.take(11)
    assert budget.take(10)
    assert not budget.take(1)


def test_items_are_taken_from_the_front_while_they_fit() -> None:
    """The size is that of the JSON, with a comma after each item."""
    items = ["a" * 7, "b" * 7, "c"]
    assert fitting_items(items, 5) == items[:1]
    assert fitting_items(items, 20) == items[:2]
    assert fitting_items(items, 24) == items
    assert fitting_items([], 5) == []


def test_no_item_need_fit_where_the_first_has_no_privilege() -> None:
    """The rooms of a new session are bounded by it; the client lists the others."""
    rooms = [{"room_id": f"room-{n}"} for n in range(3)]
    size = len(orjson.dumps(rooms[0])) + 1
    assert fitting_items(rooms, 3 * size, first_always_fits=False) == rooms
    assert fitting_items(rooms, 3 * size - 1, first_always_fits=False) == rooms[:2]
    assert fitting_items(rooms, 0, first_always_fits=False) == []
    assert fitting_items([], 0, first_always_fits=False) == []


def test_fitting_keeps_the_front_and_at_least_one() -> None:
    """The other items are left for the next page."""
    messages = [{"text": "x" * 100}] * 3
    assert fitting_items(messages, 10) == messages[:1]
    assert fitting_items(messages, 230) == messages[:2]
    assert fitting_items(messages, 10_000) == messages
    assert fitting_items([], 10) == []
