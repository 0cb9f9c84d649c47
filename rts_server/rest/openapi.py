"""The OpenAPI 3.1 document of the routes, made from their schemas, and a page that shows it."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web
from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.openapi import OpenAPIConverter
from marshmallow import Schema
from marshmallow.fields import Field, Nested

from rts_server import auth, errors
from rts_server.protocol.objects import ErrorSchema, type_name
from rts_server.rest.examples import answer_example, curl_line, parameter_example
from rts_server.rest.routes import JSON_LINES_TYPE, Handler, Route
from rts_server.rest.security_headers import sealed

Json = dict[str, Any]

DOCS_PAGE = Path(__file__).with_name("docs.html")
TITLE = "rts_server, for app back ends and operators"
LOCATIONS = {"match_info": "path", "query": "query", "headers": "header"}
POLICY = "style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'"
DESCRIPTION = (
    'Every route answers `{"ok": true, "data": …}` or `{"ok": false, "error": …}`. If an error is '
    "`retryable`, repeat the request: each is safe to repeat. Fields of a body or a query that are "
    "not known are refused by name."
)
SERVERS = [{"url": "/", "description": "The server that this document was read from."}]
TOKEN_TEXT = (
    "A JWT with `scope: operator` (docs/tokens.md). Tokens of users are refused. "
    "`rts-server token --user back-end --scope operator` prints one."
)


def add_routes(app: web.Application, routes: list[tuple[Route, Handler]]) -> None:
    """Add the document and the page. They need no token, as they describe the program only."""
    text = orjson.dumps(document(routes))

    async def openapi(_: web.Request) -> web.Response:
        """Return the document."""
        return web.Response(body=text, content_type="application/json")

    async def docs(_: web.Request) -> web.FileResponse:
        """Return a page that shows the document; it loads nothing from other origins."""
        return web.FileResponse(DOCS_PAGE, headers=sealed(POLICY))

    app.router.add_get("/v1/openapi.json", openapi)
    app.router.add_get("/v1/docs", docs)


def document(routes: list[tuple[Route, Handler]]) -> Json:
    """Return the OpenAPI 3.1 document of these routes."""
    plugin = MarshmallowPlugin(schema_name_resolver=type_name)
    spec = APISpec(
        TITLE,
        "1",
        "3.1.0",
        plugins=[plugin],
        info={"description": DESCRIPTION},
        servers=SERVERS,
        security=[{"operator": []}],
    )
    assert plugin.converter is not None  # APISpec made it
    plugin.converter.add_attribute_function(_text_form)  # type: ignore[no-untyped-call]
    spec.components.security_scheme(
        "operator",
        {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": TOKEN_TEXT,
            "x-claims": auth.CLAIMS,
        },
    )
    spec.components.schema("Error", schema=ErrorSchema)
    for status in sorted({status for route, _ in routes for status in route.statuses} - {200}):
        spec.components.response(_refused_name(status), _refused(status))
    for route, handler in routes:
        if route.body:
            _bodies(spec, route.body)
        spec.path(route.path, operations={route.method.lower(): _operation(route, handler)})
    return _with_examples(_plain(spec.to_dict()))


def _bodies(spec: APISpec, body: type[Schema]) -> None:
    """Register a body schema with the constraints that `requests` adds to it as `more`."""
    if type_name(body) not in spec.components.schemas:
        spec.components.schema(type_name(body), schema=body, component=getattr(body, "more", None))


def _text_form(
    converter: OpenAPIConverter, field: Field[Any], ret: Json, **_: Any
) -> dict[str, Any]:
    """Describe an object that may be written as a string, the value of one of its fields."""
    text_form = getattr(getattr(field, "schema", None), "text_form", None)
    if not isinstance(field, Nested) or text_form is None:
        return {}
    text = converter.field2property(field.schema.fields[text_form])
    return {"anyOf": [text, {"$ref": ret.pop("$ref")}]}


def _operation(route: Route, handler: Handler) -> Json:
    summary, _, rest = inspect.getdoc(handler).partition("\n")  # type: ignore[union-attr]
    operation: Json = {
        "operationId": operation_id(route, handler),
        "summary": summary,
        "tags": [handler.__qualname__.partition("Routes.")[0].lower() + "s"],
        "parameters": [
            {"in": LOCATIONS[location], "schema": schema}
            for location, schema in route.locations()
            if location in LOCATIONS and schema().fields
        ],
        "responses": {
            "200": _lines(route.answer) if route.lines else _answered(route.answer),
            **{str(status): _refused_name(status) for status in route.statuses if status != 200},
        },
        "x-codeSamples": [{"lang": "Shell", "label": "curl", "source": curl_line(route)}],
    }
    if rest.strip():
        operation["description"] = rest.strip()
    if route.body:
        must = [field.required for field in route.body().fields.values()]
        required = any(must) or hasattr(route.body, "more")
        content = {"application/json": {"schema": route.body, "example": route.body.example}}
        operation["requestBody"] = {"content": content, "required": required}
    return operation


def operation_id(route: Route, handler: Handler) -> str:
    """Return a name like that of a command: `room.update`, `member.batch`."""
    noun, _, verb = handler.__qualname__.partition("Routes.")
    return f"{noun.lower()}.{verb}"


def _lines(line: type[Schema]) -> Json:
    content = {JSON_LINES_TYPE: {"schema": line, "example": answer_example(line)}}
    return {"description": "JSON lines.", "content": content}


def _answered(answer: type[Schema]) -> Json:
    body = {
        "type": "object",
        "properties": {"ok": {"const": True}, "data": answer},
        "required": ["ok", "data"],
    }
    example = {"ok": True, "data": answer_example(answer)}
    return {"description": "Done.", "content": {"application/json": _media(body, example)}}


def _refused_name(status: int) -> str:
    return f"Refused{status}"


def _refused(status: int) -> Json:
    """Return the response of all errors with a status; the first one is the example."""
    kinds = [kind for kind in errors.CATALOGUE.values() if kind.http == status]
    body = {
        "type": "object",
        "properties": {"ok": {"const": False}, "error": {"$ref": "#/components/schemas/Error"}},
        "required": ["ok", "error"],
    }
    return {
        "description": " ".join(f"`{kind.code}`: {kind.__doc__}" for kind in kinds),
        "content": {
            "application/json": _media(body, {"ok": False, "error": kinds[-1]().as_error()})
        },
    }


def _media(schema: Json, example: Json) -> Json:
    return {"schema": schema, "example": example}


def _with_examples(document: Json) -> Json:
    """Add an example to each parameter; apispec makes parameters from schemas, without any."""
    for methods in document["paths"].values():
        for operation in methods.values():
            for one in operation["parameters"]:
                one["example"] = parameter_example(one["name"])
    return document


def _plain(value: Any) -> Any:
    """Rewrite patterns of Python into those of JSON Schema (ECMA 262): `^…$` for `\\Z`."""
    if isinstance(value, dict):
        return {
            key: re.sub(r"^\^?(.*?)(\\Z)?$", r"^\1$", it)
            if key == "pattern" and isinstance(it, str)
            else _plain(it)
            for key, it in value.items()
        }
    return [_plain(one) for one in value] if isinstance(value, list) else value
