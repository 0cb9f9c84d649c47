"""A room's change as people and as programs read it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from rts_server.cli.present import Outcome
from rts_server.cli.screen import added, changed, removed


def row(outcome: Outcome) -> dict[str, Any]:
    """For programs."""
    change = outcome.change
    return {
        "type": "room",
        "external_id": outcome.declared.external_id,
        "room_id": outcome.declared.room_id,
        "action": outcome.action,
        **({"status": outcome.status} if outcome.status else {}),
        "fields": {name: {"from": old, "to": new} for name, (old, new) in change.fields.items()},
        "add": [one.body() for one in change.add],
        "remove": list(change.remove),
        "roles": {user: {"from": old, "to": new} for user, (old, new) in change.roles.items()},
    }


def lines(outcome: Outcome) -> Iterator[str]:
    """For people: + comes, - goes, ~ changes."""
    change, name = outcome.change, outcome.declared.external_id
    if not change:
        return
    yield added(f"+ {name}") if change.create else changed(f"~ {name}")
    for field, (old, new) in change.fields.items():
        yield changed(f"    {field}: " + (_text(new) if change.create else _moved(old, new)))
    for one in change.add:
        yield added(f"    + {one.user_id} ({one.role})")
    for user_id in change.remove:
        yield removed(f"    - {user_id}")
    for user_id, (before, after) in change.roles.items():
        yield changed(f"    ~ {user_id}: {before} → {after}")


def _moved(old: Any, new: Any) -> str:
    return f"{_text(old)} → {_text(new)}"


def _text(value: Any) -> str:
    return orjson.dumps(value).decode()
