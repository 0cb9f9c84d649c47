"""JSON Schema (2020-12) of everything in the catalogue, by apispec."""

from __future__ import annotations

from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from marshmallow import Schema

from rts_server.protocol import objects
from rts_server.protocol.catalogue import COMMANDS, EVENTS, REFRESH
from rts_server.protocol.objects import type_name

Json = dict[str, Any]


def schemas() -> dict[str, Json]:
    """Name → schema, references as `#/components/schemas/Name`."""
    plugin = MarshmallowPlugin(schema_name_resolver=type_name)
    spec = APISpec("wire", "1", "3.1.0", plugins=[plugin])
    kinds: list[type[Schema]] = [REFRESH.payload, REFRESH.answer, objects.ErrorSchema]
    for command in COMMANDS.values():
        kinds += [command.payload, command.answer]
    kinds += [event.data for event in EVENTS.values()]
    for kind in dict.fromkeys(kinds):
        if type_name(kind) not in spec.components.schemas:
            spec.components.schema(type_name(kind), schema=kind)
    found: dict[str, Json] = spec.to_dict()["components"]["schemas"]
    docs = {type_name(kind): kind.__doc__ or "" for kind in _all(kinds)}
    return {name: {"description": docs.get(name, ""), **found[name]} for name in sorted(found)}


def _all(kinds: list[type[Schema]]) -> list[type[Schema]]:
    return [*kinds, *(kind for kind in vars(objects).values() if isinstance(kind, type))]
