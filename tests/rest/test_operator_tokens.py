"""Operator routes accept tokens with scope operator only."""

from __future__ import annotations

import re
from dataclasses import replace

from pytest_aiohttp.plugin import AiohttpClient

from rts_server.app import create_app
from tests.helpers.rest import ROUTES, Client, Rest
from tests.helpers.world import World, name

ANYWHERE = [("GET", "/v1/"), ("POST", "/v1/rooms/x"), ("GET", "/v1/else")]


def addresses() -> list[tuple[str, str]]:
    """Every route with sample parameters, and paths that are no route."""
    filled = [(one.method, re.sub(r"{\w+}", "x", one.path)) for one in ROUTES]
    return [*filled, *ANYWHERE]


async def test_every_route_requires_an_operators_token(world: World, client: Client) -> None:
    """Every route answers 401 without a token and 403 for another scope."""
    user, other = world.token(name("eve")), world.token(name("eve"), scope="operators")
    tokens = [(None, "unauthorized", 401), ("x", "unauthorized", 401)]
    tokens += [(user, "forbidden", 403), (other, "forbidden", 403)]
    for token, code, status in tokens:
        async with Rest(client, token) as rest:
            for method, path in addresses():
                assert await rest.refused(method, path) == code, path
                assert rest.status == status
                assert ("WWW-Authenticate" in rest.headers) == (status == 401)


async def test_an_expired_token_says_so(world: World, client: Client) -> None:
    """After the grace an operator's token is token_expired."""
    old = world.token("ops", scope="operator", lifetime=-60)
    async with Rest(client, old) as rest:
        assert await rest.refused("GET", "/v1/rooms/x") == "token_expired"
        assert rest.status == 401


async def test_only_a_development_server_tells_which_claim_is_wrong(
    world: World, client: Client, aiohttp_client: AiohttpClient
) -> None:
    """By claim in `details`, also for a scope and a revocation; elsewhere the log alone says it."""
    user, past = world.token(name("eve")), name("ops")
    revoked = world.token(past, scope="operator")
    async with Rest(client, world.token("ops", scope="operator")) as operator:
        await operator.ok("POST", f"/v1/users/{past}:revoke")
    outside = await aiohttp_client(create_app(replace(world.stack.settings, dev="")))
    for token, claim in (
        (None, "token"),
        ("x", "token"),
        (world.token("ops", lifetime=-60), "exp"),
        (user, "scope"),
        (revoked, "iat"),
    ):
        for instance, told in ((client, {claim}), (outside, set())):
            async with Rest(instance, token) as rest:
                error = (await rest.ask("GET", "/v1/rooms/x"))["error"]
                assert set(error.get("details", ())) == told, (claim, told)


async def test_one_scope_of_several_is_enough(world: World, client: Client) -> None:
    """Scopes are separated by spaces, as in OAuth."""
    async with Rest(client, world.token("ops", scope="read operator")) as rest:
        assert await rest.refused("GET", "/v1/rooms/x") == "not_found"
