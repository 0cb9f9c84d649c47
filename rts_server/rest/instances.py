"""Instances, for operators."""

from __future__ import annotations

from typing import Any

from rts_server import errors
from rts_server.auth import Identity
from rts_server.presence.instance_registry import InstanceRegistry
from rts_server.presence.presences import PresenceStore
from rts_server.protocol import answers, requests
from rts_server.realtime.control_channel import ControlChannel
from rts_server.rest.routes import Asked, route


class InstanceRoutes:
    """Which there are, and the end of one."""

    def __init__(self, roster: InstanceRegistry, everywhere: ControlChannel) -> None:
        self._roster = roster
        self._everywhere = everywhere

    @route("GET", "/v1/instances", answers.Instances)
    async def all(self, operator: Identity, asked: Asked) -> dict[str, Any]:
        """The instances whose lease lives, as they last told of themselves."""
        return {"instances": await self._roster.instances()}

    @route("POST", "/v1/instances/{instance_id}:drain", answers.Told)
    async def drain(self, operator: Identity, asked: Asked) -> dict[str, Any]:
        """Let an instance send its clients elsewhere; it takes nobody new and does not come back.

        Its process stays, not ready, until it is ended.
        """
        instance_id = asked["instance_id"]
        known = [one["instance_id"] for one in await self._roster.instances()]
        if instance_id not in known:
            raise errors.NotFound()
        return {"instances": await self._everywhere.drain(instance_id)}


class PresenceRoutes:
    """How users are."""

    def __init__(self, presences: PresenceStore, roster: InstanceRegistry) -> None:
        self._presences = presences
        self._roster = roster

    @route("GET", "/v1/users/{user_id}/presence", answers.ExplainedPresence, query=requests.Explain)
    async def get(self, operator: Identity, asked: Asked) -> dict[str, Any]:
        """How a user is told to be; explained, where his connections are."""
        user_id = asked["user_id"]
        told = (await self._presences.read([user_id]))[user_id].shown(user_id)
        if not asked["explain"]:
            return {"presence": told}
        return {"presence": told, "connections": await self._roster.connections(user_id)}
