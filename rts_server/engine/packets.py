"""Socket.IO packets as text, encoded once and shared between connections (protocol v5)."""

from __future__ import annotations

from typing import Any

import orjson
from engineio import packet as eio

from rts_server.engine import websocket


class Encoded(eio.Packet):  # type: ignore[misc]
    """An Engine.IO MESSAGE of text; `frame`: the WebSocket's. Sharing it shares its wire forms."""

    def __init__(self, data: str) -> None:
        super().__init__(eio.MESSAGE, data=data)
        self.frame = websocket.text(self.encode())


def framed(packet: Any) -> bytes:
    """The WebSocket frame of any packet, ours or the library's."""
    return packet.frame if isinstance(packet, Encoded) else websocket.text(packet.encode())


def event_packet(namespace: str, event: str, text: str) -> Encoded:
    """EVENT whose only argument is JSON that exists already."""
    return Encoded(f'2{_prefix(namespace)}["{event}",{text}]')


def ack_packet(namespace: str, ack_id: int, answer: dict[str, Any]) -> Encoded:
    """ACK with one argument."""
    return Encoded(f"3{_prefix(namespace)}{ack_id}[{orjson.dumps(answer).decode()}]")


def disconnect_packet(namespace: str) -> Encoded:
    """DISCONNECT: a client stays away from the namespace until it is told to come back."""
    return Encoded(f"1{_prefix(namespace)}")


def connect_error_packet(namespace: str, message: str, code: str) -> Encoded:
    """CONNECT_ERROR as the protocol has it: `{message, data: {code}}`."""
    data = orjson.dumps({"message": message, "data": {"code": code}}).decode()
    return Encoded(f"4{_prefix(namespace)}{data}")


def close_packet() -> eio.Packet:
    """Engine.IO CLOSE: how a polling client hears that its session is over."""
    return eio.Packet(eio.CLOSE)


def _prefix(namespace: str) -> str:
    return "" if namespace == "/" else namespace + ","
