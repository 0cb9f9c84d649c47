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
    """Add the routes of the resources, their OpenAPI document, and the fallback for other paths."""
    router = OperatorRouter(settings, tokens, revocations)
    for resource in resources:
        router.add(app, resource)
    routes = [one for resource in resources for one in routes_of(resource)]
    openapi.add_routes(app, routes)
    router.add_fallback(app, [route for route, _ in routes])
