"""The OpenAPI document and its page are valid, complete and offline; the server behaves as
described."""

from __future__ import annotations

import argparse
import asyncio
import re
import shlex
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path
from typing import Any

import aiohttp
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from rts_server.rest import examples
from tests.helpers.rest import ROUTES, Client
from tests.helpers.world import World, name

ROOT = Path(__file__).parents[2]


async def fetched(world: World, path: str) -> tuple[Any, aiohttp.ClientResponse]:
    """Text and response of a request without a token."""
    async with aiohttp.ClientSession(world.urls[0]) as session, session.get(path) as answer:
        json = answer.content_type == "application/json"
        return (await answer.json() if json else await answer.text()), answer


async def test_the_document_is_valid_and_whole(world: World) -> None:
    """By the OpenAPI 3.1 validator; every route has an operation id of its own."""
    spec, _ = await fetched(world, "/v1/openapi.json")
    validate(spec)
    for schema in spec["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    told = {(m.upper(), path) for path, methods in spec["paths"].items() for m in methods}
    assert told == {(route.method, route.path) for route in ROUTES}
    names = [one["operationId"] for methods in spec["paths"].values() for one in methods.values()]
    assert len(set(names)) == len(names) == len(ROUTES)


async def test_every_example_fits_its_schema(world: World) -> None:
    """Of parameters, bodies and answers, refusals included; the server of the document is named."""
    spec, _ = await fetched(world, "/v1/openapi.json")
    assert [one["url"] for one in spec["servers"]] == ["/"]
    operations = [one for methods in spec["paths"].values() for one in methods.values()]
    examples = [(one["schema"], one["example"]) for o in operations for one in o["parameters"]]
    bodies = [one["requestBody"] for one in operations if "requestBody" in one]
    answers = [one["responses"]["200"] for one in operations]
    for media in [*bodies, *answers, *spec["components"]["responses"].values()]:
        examples += [(one["schema"], one["example"]) for one in media["content"].values()]
    assert len(examples) > 80
    for schema, example in examples:
        Draft202012Validator(spec | schema).validate(example)


async def test_the_curl_lines_work_one_after_the_other(world: World, client: Client) -> None:
    """What one example makes another reads: copied into a shell they tell a whole story."""
    spec, _ = await fetched(world, "/v1/openapi.json")
    lines = {
        operation["operationId"]: operation["x-codeSamples"][0]["source"]
        for methods in spec["paths"].values()
        for operation in methods.values()
    }
    first = ["room.declare", "message.send", "message.edit", "message.get", "member.batch"]
    last = ["message.delete", "room.delete", "personal.erase", "user.revoke"]
    others = [one for one in lines if one not in {*first, *last}]
    token = world.token(examples.OPERATOR, scope="operator")
    for operation in [*first, *others, *last]:
        variables = {"$RTS_URL": str(client.make_url("")).rstrip("/"), "$RTS_TOKEN": token}
        status = await curl(client, lines[operation], variables)
        missing = operation == "instance.drain"  # its instance is made up
        assert status == (404 if missing else 200), (operation, lines[operation])


async def curl(client: Client, line: str, variables: dict[str, str]) -> int:
    """Make the request of a curl line; return the status."""
    for variable, value in variables.items():
        line = line.replace(variable, value)
    parser = argparse.ArgumentParser()
    parser.add_argument("-X", dest="method", default="GET")
    parser.add_argument("-H", dest="headers", action="append")
    parser.add_argument("-d", dest="data")
    parser.add_argument("curl")
    parser.add_argument("url")
    given = parser.parse_args(shlex.split(line.replace("\\\n", "")))
    headers = dict(one.split(": ", 1) for one in given.headers)
    async with client.session.request(
        given.method, given.url, headers=headers, data=given.data
    ) as answer:
        await answer.read()
        return answer.status


async def test_the_page_loads_nothing_from_elsewhere(world: World) -> None:
    """It has no foreign address, and its policy allows none."""
    page, answer = await fetched(world, "/v1/docs")
    assert answer.content_type == "text/html"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert re.findall(r"""(?:src|href)=["']?([^"'>\s]+)|fetch\("([^"]+)""", page) == [
        ("openapi.json", ""),
        ("", "openapi.json"),
    ]


async def test_schemathesis_finds_nothing(world: World) -> None:
    """No route answers 5xx or outside its schema."""
    harmful = ("/v1/users/{user_id}:revoke", "/v1/instances/{instance_id}:drain")
    ran = [st(world), *(st(world, "--include-path", path, alone=True) for path in harmful)]
    for code, output in await asyncio.gather(*ran):
        assert code == 0, output


async def st(world: World, *more: str, alone: bool = False) -> tuple[int | None, str]:
    """Return exit code and output of Schemathesis. `alone`: without its exclusions."""
    token = world.token(name("st"), scope="operator")
    options = ["--checks", "all", "--max-examples", "6", "--seed", "1", "--no-color", *more]
    if alone:
        options += ["--phases", "coverage,fuzzing"]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli"),
        *([] if alone else ["--config-file", str(ROOT / "schemathesis.toml")]),
        *("run", f"{world.urls[0]}/v1/openapi.json", "-H", f"Authorization: Bearer {token}"),
        *options,
        cwd=world.data,
        stdout=PIPE,
        stderr=STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode()
