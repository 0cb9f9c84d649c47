"""A room as the server has it, and what was done to make it as declared."""

from __future__ import annotations

from dataclasses import dataclass, field

from rts_server.tools.cli.difference import (
    EMPTY,
    Change,
    Declared,
    Present,
    becomes,
    difference,
    steps,
)
from rts_server.tools.cli.server import Refused, Server

TRIES = 3
"""How often a room is looked at anew because somebody else made it meanwhile."""

STATUSES = ("accepted", "stored")


@dataclass(frozen=True)
class Outcome:
    """What is to be done with a room, or was; or why it could not be."""

    declared: Declared
    present: Present | None = None
    change: Change = field(default_factory=Change)
    status: str = ""
    error: Refused | None = None

    @property
    def action(self) -> str:
        """In one word."""
        if self.error:
            return "failed"
        if self.change.create:
            return "create"
        return "change" if self.change else "none"

    @property
    def after(self) -> Present:
        """The room as it is to be."""
        return becomes(self.present, self.change)


async def read(server: Server, room_id: str, *, members: bool = True) -> Present | None:
    """The room, None where there is none; without its members unless asked. Raises Refused."""
    path = f"/v1/rooms/{room_id}"
    try:
        room = (await server.ask("GET", path))["room"]
    except Refused as refused:
        if refused.code == "not_found":
            return None
        raise
    roles = {}
    if members:
        async for one in server.pages(f"{path}/members", "members"):
            roles[one["user_id"]] = one["role"]
    return Present({name: room.get(name, value) for name, value in EMPTY.fields.items()}, roles)


async def plan_one(server: Server, declared: Declared) -> Outcome:
    """What is to be done with a room; nothing is."""
    try:
        present = await read(server, declared.room_id, members=declared.members is not None)
        if present is None and not declared.create:
            raise Refused("not_found", "There is no such room.")
        return Outcome(declared, present, difference(present, declared))
    except Refused as refused:
        return Outcome(declared, error=refused)


async def apply_one(server: Server, declared: Declared) -> Outcome:
    """Make a room as declared. Safe to repeat: what is there already is not done again."""
    for _ in range(TRIES):
        outcome = await plan_one(server, declared)
        if outcome.error or not outcome.change:
            return outcome
        try:
            status = await _carry_out(server, declared, outcome.change)
        except Refused as refused:
            return Outcome(declared, outcome.present, outcome.change, error=refused)
        if status:
            return Outcome(declared, outcome.present, outcome.change, status)
    met = Refused("conflict", "Somebody else makes and unmakes this room.")
    return Outcome(declared, error=met)


async def _carry_out(server: Server, declared: Declared, change: Change) -> str:
    """The weakest status of all; empty when somebody else made the room first."""
    known = {"stored"}
    for step in steps(declared, change):
        answer = await server.ask(*step)
        if not answer.get("created", True):
            return ""
        known.add(answer["status"])
    return next(status for status in STATUSES if status in known)
