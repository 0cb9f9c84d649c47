"""JSON Schema (2020-12) of all schemas in the catalogue, made by apispec."""

from __future__ import annotations

import inspect
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from marshmallow import Schema

from rts_server.protocol import answers, commands, events, objects
from rts_server.protocol.catalogue import COMMANDS, EVENTS, REFRESH
from rts_server.protocol.objects import type_name

Json = dict[str, Any]


def schemas() -> dict[str, Json]:
    """Return schemas by name; references read `#/components/schemas/Name`."""
    plugin = MarshmallowPlugin(schema_name_resolver=type_name)
    spec = APISpec("wire", "1", "3.1.0", plugins=[plugin])
    kinds: list[type[Schema]] = [REFRESH.payload, REFRESH.answer, objects.ErrorSchema]
    for command in COMMANDS.values():
        kinds += [command.payload, command.answer]
    kinds += [event.data for event in EVENTS.values()]
    kinds += [part for kind in _defined() for part in _parts(kind)]
    for kind in dict.fromkeys(kinds):
        if type_name(kind) not in spec.components.schemas:
            spec.components.schema(type_name(kind), schema=kind)
    found: dict[str, Json] = spec.to_dict()["components"]["schemas"]
    known = {type_name(kind): kind for kind in [*kinds, *_defined()]}
    return {name: _described(known[name], found[name]) for name in sorted(found)}


def _described(kind: type[Schema], schema: Json) -> Json:
    """Return a schema with its docstring; one with several shapes becomes `oneOf`."""
    description = inspect.cleandoc(kind.__doc__ or "")
    if parts := _parts(kind):
        reference = "#/components/schemas/"
        schema = {"oneOf": [{"$ref": reference + type_name(part)} for part in parts]}
    return {"description": description, **schema}


def _parts(kind: type[Schema]) -> tuple[type[Schema], ...]:
    return getattr(kind, "one_of", ())


def _defined() -> list[type[Schema]]:
    """Return every schema of the protocol's modules."""
    modules = (objects, commands, answers, events)
    found = [kind for module in modules for kind in vars(module).values()]
    return [kind for kind in found if isinstance(kind, type) and issubclass(kind, Schema)]
