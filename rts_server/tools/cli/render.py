"""The outcome of a room as text for people and as a row for programs."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

import orjson

from rts_server.tools.cli.batch_run import ItemResult
from rts_server.tools.cli.manifest import dump_room
from rts_server.tools.cli.output import added, changed, removed
from rts_server.tools.cli.plan_apply import RoomOutcome


def render_changes(outcome: RoomOutcome) -> ItemResult:
    """Render a list of changes: + for additions, - for removals, ~ for changes."""
    return _render(outcome, tuple(_change_lines(outcome)))


def render_diff(outcome: RoomOutcome) -> ItemResult:
    """Render a unified diff from the present room to the declared one."""
    return _render(outcome, tuple(_diff_lines(outcome)))


def _render(outcome: RoomOutcome, lines: tuple[str, ...]) -> ItemResult:
    name = outcome.declared.external_id
    return ItemResult(name, outcome.action, _row(outcome), lines, outcome.status, outcome.error)


def _row(outcome: RoomOutcome) -> dict[str, Any]:
    change = outcome.change
    return {
        "type": "room",
        "external_id": outcome.declared.external_id,
        "room_id": outcome.declared.room_id,
        "action": outcome.action,
        **({"status": outcome.status} if outcome.status else {}),
        "fields": {name: {"from": old, "to": new} for name, (old, new) in change.fields.items()},
        "add": [member.body() for member in change.add],
        "remove": list(change.remove),
        "roles": {user: {"from": old, "to": new} for user, (old, new) in change.roles.items()},
    }


def _change_lines(outcome: RoomOutcome) -> Iterator[str]:
    change, name = outcome.change, outcome.declared.external_id
    if not change:
        return
    yield added(f"+ {name}") if change.create else changed(f"~ {name}")
    for field, (old, new) in change.fields.items():
        before = "" if change.create else f"{_json(old)} → "
        yield changed(f"    {field}: {before}{_json(new)}")
    for member in change.add:
        yield added(f"    + {member.user_id} ({member.role})")
    for user_id in change.remove:
        yield removed(f"    - {user_id}")
    for user_id, (old, new) in change.roles.items():
        yield changed(f"    ~ {user_id}: {old} → {new}")


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _diff_lines(outcome: RoomOutcome) -> Iterator[str]:
    name = outcome.declared.external_id
    before = dump_room(name, outcome.current).splitlines() if outcome.current else []
    after = dump_room(name, outcome.after).splitlines()
    styles = {"+": added, "-": removed}
    lines = difflib.unified_diff(before, after, f"present/{name}", f"declared/{name}", lineterm="")
    for line in lines:
        yield styles.get(line[0], str)(line)
