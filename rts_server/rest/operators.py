"""The routes of app back ends and operators, under /v1."""

from __future__ import annotations

from aiohttp import web

from rts_server.auth import Tokens
from rts_server.config import Settings
from rts_server.persistence.revocations import Revocations
from rts_server.rest import openapi
from rts_server.rest.routes import OperatorRouter, routes_of


def add_routes(
    app: web.Application,
    settings: Settings,
    tokens: Tokens,
    revocations: Revocations,
    resources: list[object],
) -> None:
    """Add what the resources have, each for tokens with `scope: operator` alone."""
    doors = OperatorRouter(settings, tokens, revocations)
    for resource in resources:
        doors.add(app, resource)
    routes = [one for resource in resources for one in routes_of(resource)]
    openapi.add_routes(app, routes)
    doors.close(app, [route for route, _ in routes])
