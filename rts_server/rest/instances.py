"""Instances and presence, for operators."""

from __future__ import annotations

from typing import TypedDict

from rts_server import errors
from rts_server.auth import Identity
from rts_server.presence.instance_registry import InstanceRegistry
from rts_server.presence.presences import UserPresences
from rts_server.protocol import operator_answers, requests
from rts_server.realtime.control_channel import ControlChannel
from rts_server.rest.routes import UserParams, route
from rts_server.types.operator_answers import (
    ExplainedPresenceAnswer,
    InstancesAnswer,
    ReceiversAnswer,
)
from rts_server.types.requests import ExplainRequest


class InstanceParams(TypedDict):
    """The path of an instance."""

    instance_id: str


class PresenceParams(UserParams, ExplainRequest):
    """Path and query."""


class InstanceRoutes:
    """List instances, and drain one."""

    def __init__(self, registry: InstanceRegistry, control: ControlChannel) -> None:
        self._registry = registry
        self._control = control

    @route("GET", "/v1/instances", operator_answers.InstancesSchema)
    async def all(self, operator: Identity, params: object) -> InstancesAnswer:
        """The instances with a valid lease, with the details they last reported."""
        return {"instances": await self._registry.instances()}

    @route("POST", "/v1/instances/{instance_id}:drain", operator_answers.ReceiversSchema)
    async def drain(self, operator: Identity, params: InstanceParams) -> ReceiversAnswer:
        """Drain an instance: it refuses new connections and closes its own, spread over time.

        Its process ends afterwards; whoever supervises it starts a new one with a new id.
        """
        instance_id = params["instance_id"]
        known = [one["instance_id"] for one in await self._registry.instances()]
        if instance_id not in known:
            raise errors.NotFound()
        return {"instances": await self._control.drain(instance_id)}


class PresenceRoutes:
    """The presence of users."""

    def __init__(self, presences: UserPresences, registry: InstanceRegistry) -> None:
        self._presences = presences
        self._registry = registry

    @route(
        "GET",
        "/v1/users/{user_id}/presence",
        operator_answers.ExplainedPresenceSchema,
        query=requests.ExplainSchema,
    )
    async def get(self, operator: Identity, params: PresenceParams) -> ExplainedPresenceAnswer:
        """The presence of a user; with `explain`, also where their connections are."""
        user_id = params["user_id"]
        presence = (await self._presences.read([user_id]))[user_id].shown(user_id)
        if not params["explain"]:
            return {"presence": presence}
        return {"presence": presence, "connections": await self._registry.connections(user_id)}
