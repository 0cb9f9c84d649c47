"""The routes of REST as their OpenAPI document has them, for the clients that are made of it."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from dataclasses import dataclass
from functools import cache

from rts_server import rest
from rts_server.rest.openapi import document
from rts_server.rest.routes import JSON_LINES_TYPE, Handler, Route
from scripts.wire import python
from scripts.wire.schemas import Json


@dataclass(frozen=True)
class Operation:
    """One route. `name` is its operationId; `content` is the OpenAPI object of the operation."""

    name: str
    method: str
    path: str
    content: Json

    @property
    def summary(self) -> str:
        """What it does, in one sentence."""
        return str(self.content["summary"])

    @property
    def query(self) -> list[str]:
        """The names of the parameters of its query."""
        return [one["name"] for one in self.content["parameters"] if one["in"] == "query"]

    @property
    def parameters(self) -> list[tuple[str, bool, Json]]:
        """(name, required, schema) of path, query and headers; a header is written as a field."""
        return [
            (one["name"].lower().replace("-", "_"), bool(one.get("required")), one["schema"])
            for one in self.content["parameters"]
        ]

    @property
    def is_keyed(self) -> bool:
        """Whether a repetition is recognized by its Idempotency-Key."""
        return any(name == "idempotency_key" for name, _, _ in self.parameters)

    @property
    def body(self) -> Json | None:
        """The schema of its body."""
        if "requestBody" not in self.content:
            return None
        schema: Json = self.content["requestBody"]["content"]["application/json"]["schema"]
        return schema

    @property
    def answers_lines(self) -> bool:
        """Whether the answer comes line by line."""
        return JSON_LINES_TYPE in self._answered

    @property
    def answer(self) -> Json:
        """The schema of `data`, or that of one line."""
        if self.answers_lines:
            line: Json = self._answered[JSON_LINES_TYPE]["schema"]
            return line
        data: Json = self._answered["application/json"]["schema"]["properties"]["data"]
        return data

    @property
    def _answered(self) -> Json:
        content: Json = self.content["responses"]["200"]["content"]
        return content


def operations() -> list[Operation]:
    """Return every route, by its operationId."""
    found = [
        Operation(content["operationId"], method.upper(), path, content)
        for path, methods in _document()["paths"].items()
        for method, content in methods.items()
    ]
    return sorted(found, key=lambda one: one.name)


def rest_schemas() -> dict[str, Json]:
    """Return every schema of the document by name, with its description."""
    docs = {
        name: inspect.cleandoc(kind.__doc__ or "")
        for module in python.MODULES
        for name, kind in python.typed_dicts(module).items()
    }
    found: dict[str, Json] = _document()["components"]["schemas"]
    return {name: {"description": docs.get(name, ""), **found[name]} for name in sorted(found)}


@cache
def _document() -> Json:
    return document(_routes())


def _routes() -> list[tuple[Route, Handler]]:
    """The routes of every class in rts_server/rest, by path."""
    modules = [
        importlib.import_module(f"{rest.__name__}.{found.name}")
        for found in pkgutil.iter_modules(rest.__path__)
    ]
    handlers = {
        member.__qualname__: member
        for module in modules
        for kind in vars(module).values()
        if isinstance(kind, type)
        for member in vars(kind).values()
        if "__route__" in getattr(member, "__dict__", ())
    }
    found = [(handler.__dict__["__route__"], handler) for handler in handlers.values()]
    return sorted(found, key=lambda one: (one[0].path, one[0].method))
