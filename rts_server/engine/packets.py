"""Outgoing Socket.IO packets (protocol v5), encoded once and shared between connections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from engineio import packet as eio

from rts_server.engine import websocket


class Encoded(eio.Packet):  # type: ignore[misc]
    """An Engine.IO MESSAGE. `frame` is its WebSocket frame, encoded once for all connections."""

    def __init__(self, data: str) -> None:
        # What the library makes of a text; its way there costs three times as much.
        self.packet_type, self.data, self.binary = eio.MESSAGE, data, False
        self.encode_cache = f"{eio.MESSAGE}{data}"
        self.frame = websocket.text(self.encode_cache)


def framed(packet: Any) -> bytes:
    """Return the WebSocket frame of a packet, ours or the library's."""
    return packet.frame if isinstance(packet, Encoded) else websocket.text(packet.encode())


def event_packet(namespace: str, event: str, text: str) -> Encoded:
    """Return an EVENT with one argument, given as JSON text."""
    return Encoded(f'2{_prefix(namespace)}["{event}",{text}]')


def ack_packet(namespace: str, ack_id: int, answer: Mapping[str, object]) -> Encoded:
    """Return an ACK with one argument."""
    return Encoded(f"{ack_prefix(namespace)}{ack_id}[{orjson.dumps(answer).decode()}]")


def ack_prefix(namespace: str) -> str:
    """Return what is before the id of an ACK."""
    return f"3{_prefix(namespace)}"


def disconnect_packet(namespace: str) -> Encoded:
    """Return a DISCONNECT; the client does not reconnect to the namespace by itself."""
    return Encoded(f"1{_prefix(namespace)}")


def connect_error_packet(namespace: str, message: str, code: str) -> Encoded:
    """Return a CONNECT_ERROR with the payload `{message, data: {code}}`."""
    data = orjson.dumps({"message": message, "data": {"code": code}}).decode()
    return Encoded(f"4{_prefix(namespace)}{data}")


def close_packet() -> eio.Packet:
    """Return an Engine.IO CLOSE, which ends the session of a polling client."""
    return eio.Packet(eio.CLOSE)


def _prefix(namespace: str) -> str:
    return "" if namespace == "/" else namespace + ","
