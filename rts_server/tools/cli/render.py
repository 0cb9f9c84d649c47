"""What became of a room, as people and as programs read it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

import orjson

from rts_server.tools.cli.console import added, changed, removed
from rts_server.tools.cli.manifest import dumped
from rts_server.tools.cli.plan_apply import Outcome
from rts_server.tools.cli.run import Result


def result(outcome: Outcome) -> Result:
    """With what was changed, or is to be: + comes, - goes, ~ changes."""
    return _result(outcome, tuple(_lines(outcome)))


def compared(outcome: Outcome) -> Result:
    """As a unified diff from present to declared."""
    return _result(outcome, tuple(_unified(outcome)))


def _result(outcome: Outcome, lines: tuple[str, ...]) -> Result:
    name = outcome.declared.external_id
    return Result(name, outcome.action, _row(outcome), lines, outcome.status, outcome.error)


def _row(outcome: Outcome) -> dict[str, Any]:
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


def _lines(outcome: Outcome) -> Iterator[str]:
    change, name = outcome.change, outcome.declared.external_id
    if not change:
        return
    yield added(f"+ {name}") if change.create else changed(f"~ {name}")
    for field, (old, new) in change.fields.items():
        before = "" if change.create else f"{_text(old)} → "
        yield changed(f"    {field}: {before}{_text(new)}")
    for one in change.add:
        yield added(f"    + {one.user_id} ({one.role})")
    for user_id in change.remove:
        yield removed(f"    - {user_id}")
    for user_id, (was, role) in change.roles.items():
        yield changed(f"    ~ {user_id}: {was} → {role}")


def _text(value: Any) -> str:
    return orjson.dumps(value).decode()


def _unified(outcome: Outcome) -> Iterator[str]:
    name = outcome.declared.external_id
    before = dumped(name, outcome.present).splitlines() if outcome.present else []
    after = dumped(name, outcome.after).splitlines()
    colours = {"+": added, "-": removed}
    plain = difflib.unified_diff(before, after, f"present/{name}", f"declared/{name}", lineterm="")
    for text in plain:
        yield colours.get(text[0], str)(text)
