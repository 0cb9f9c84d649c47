"""Bodies of requests that do not arrive as they should."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import quote

import pytest

from rts_server.rest import parsing
from rts_server.rest.examples import parameter_example
from rts_server.rest.routes import Route
from tests.helpers.rest import ROUTES, Client, Rest
from tests.helpers.world import World


async def test_a_body_that_does_not_arrive_is_refused(
    client: Client, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request is answered, and holds nothing any longer."""
    monkeypatch.setattr(parsing, "BODY_TIMEOUT_SECONDS", 0.1)
    given_up = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"{"
        await given_up.wait()

    operator = {"Authorization": f"Bearer {world.token('ops', scope='operator')}"}
    answer = await client.put(
        "/v1/external-rooms/slow",
        data=body(),
        headers=operator | {"Content-Type": "application/json"},
    )
    given_up.set()
    assert answer.status == 400
    error = (await answer.json())["error"]
    assert (error["code"], error["message"]) == (
        "bad_request",
        "The body did not arrive in time.",
    )


@pytest.mark.parametrize("route", ROUTES, ids=lambda one: f"{one.method} {one.path}")
async def test_every_route_refuses_unknown_fields_by_name(operator: Rest, route: Route) -> None:
    """Of its query and of its body, also where it takes neither: nothing is done instead."""
    path = route.path
    for name in route.path_params:
        path = path.replace(f"{{{name}}}", quote(str(parameter_example(name)), safe=""))
    answers = [
        await operator.ask(route.method, f"{path}?mispelt=1"),
        await operator.ask(route.method, path, {"mispelt": 1}),
    ]
    for answer in answers:
        assert answer["error"]["code"] == "invalid_param"
        assert answer["error"]["details"]["mispelt"] == ["Unknown field."]


async def test_a_path_without_a_route_is_not_found_whatever_is_sent(operator: Rest) -> None:
    """Fields of what does not exist are no mistake of their own."""
    answer = await operator.ask("POST", "/v1/nothing?mispelt=1", {"mispelt": 1})
    assert answer["error"]["code"] == "not_found"
