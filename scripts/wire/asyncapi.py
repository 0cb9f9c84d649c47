"""The AsyncAPI 3 document: namespaces as channels, commands with their replies, events."""

from __future__ import annotations

import json
from typing import Any

from rts_server.protocol.catalogue import COMMANDS, EVENTS, REFRESH, CommandSpec, EventSpec
from rts_server.protocol.objects import type_name
from scripts.wire.schemas import Json


def text(schemas: dict[str, Json]) -> str:
    """Return the document as JSON text."""
    return json.dumps(document(schemas), indent=1, ensure_ascii=False) + "\n"


def document(schemas: dict[str, Json]) -> Json:
    """Return the document from the server's view, which receives commands and sends events."""
    namespaces = sorted({command.namespace for command in COMMANDS.values()})
    commands = {**COMMANDS, "auth.refresh": REFRESH}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "rts_server",
            "version": "1",
            "description": "Socket.IO v5 over Engine.IO v4; see protocol.md beside this file.",
        },
        "channels": {_key(namespace): _channel(namespace) for namespace in namespaces},
        "operations": {
            **{_key(name): _receive(name, command) for name, command in commands.items()},
            **{_key(name): _send(name, event) for name, event in EVENTS.items()},
        },
        "components": {
            "messages": {
                **{_key(name): _message(name, c.payload) for name, c in commands.items()},
                **{f"{_key(name)}_ack": _ack(name, c) for name, c in commands.items()},
                **{_key(name): _event(name, event) for name, event in EVENTS.items()},
            },
            "schemas": schemas,
        },
    }


def _key(name: str) -> str:
    return name.strip("/").replace(".", "_")


def _ref(*path: str) -> Json:
    return {"$ref": "#/" + "/".join(path)}


def _channel(namespace: str) -> Json:
    here = {name: c for name, c in COMMANDS.items() if c.namespace == namespace}
    names = [*here, "auth.refresh"]
    events = [name for name, event in EVENTS.items() if event.namespace == namespace]
    keys = [*map(_key, names), *(f"{_key(name)}_ack" for name in names), *map(_key, events)]
    return {
        "address": namespace,
        "messages": {key: _ref("components", "messages", key) for key in keys},
    }


def _receive(name: str, command: CommandSpec) -> Json:
    channel = "chat" if command is REFRESH else _key(command.namespace)
    where = ("channels", channel)
    return {
        "action": "receive",
        "channel": _ref(*where),
        "messages": [_ref(*where, "messages", _key(name))],
        "reply": {
            "channel": _ref(*where),
            "messages": [_ref(*where, "messages", f"{_key(name)}_ack")],
        },
    }


def _send(name: str, event: EventSpec) -> Json:
    where = ("channels", _key(event.namespace))
    return {
        "action": "send",
        "channel": _ref(*where),
        "messages": [_ref(*where, "messages", _key(name))],
    }


def _message(name: str, kind: Any) -> Json:
    return {"name": name, "payload": _ref("components", "schemas", type_name(kind))}


def _ack(name: str, command: CommandSpec) -> Json:
    data = _ref("components", "schemas", type_name(command.answer))
    ok = {"type": "object", "properties": {"ok": {"const": True}, "data": data}}
    error = _ref("components", "schemas", "Error")
    refused = {"type": "object", "properties": {"ok": {"const": False}, "error": error}}
    payload = {
        "oneOf": [
            {**ok, "required": ["ok", "data"]},
            {**refused, "required": ["ok", "error"]},
        ]
    }
    return {"name": f"{name} ack", "payload": payload}


def _event(name: str, event: EventSpec) -> Json:
    number = {"type": "integer"}
    properties: Json = {
        "type": {"const": name},
        "ts": {"type": "string", "format": "date-time"},
        "room_id": {"type": "string"},
        "actor_id": {"type": "string"},
        "data": _ref("components", "schemas", type_name(event.data)),
    }
    required = ["type", "ts", "data"]
    if event.durable:
        properties |= {"epoch": number, "offset": number}
        required += ["room_id", "epoch", "offset"]
    return {
        "name": name,
        "payload": {"type": "object", "properties": properties, "required": required},
    }
