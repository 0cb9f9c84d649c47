"""Socket.IO packets as text, encoded once and shared between connections (protocol v5)."""

from __future__ import annotations

from typing import Any, TypeAlias

import orjson
from engineio import packet as eio

Encoded: TypeAlias = eio.Packet
"""An Engine.IO MESSAGE; its wire form is cached inside, so sharing it shares the encoding."""


def event_packet(namespace: str, event: str, text: str) -> Encoded:
    """EVENT whose only argument is JSON that exists already."""
    return _message(f'2{_prefix(namespace)}["{event}",{text}]')


def ack_packet(namespace: str, ack_id: int, answer: dict[str, Any]) -> Encoded:
    """ACK with one argument."""
    return _message(f"3{_prefix(namespace)}{ack_id}[{orjson.dumps(answer).decode()}]")


def disconnect_packet(namespace: str) -> Encoded:
    """DISCONNECT: a client stays away from the namespace until it is told to come back."""
    return _message(f"1{_prefix(namespace)}")


def connect_error_packet(namespace: str, message: str, code: str) -> Encoded:
    """CONNECT_ERROR as the protocol has it: `{message, data: {code}}`."""
    data = orjson.dumps({"message": message, "data": {"code": code}}).decode()
    return _message(f"4{_prefix(namespace)}{data}")


def close_packet() -> Encoded:
    """Engine.IO CLOSE: how a polling client hears that its session is over."""
    packet: Encoded = eio.Packet(eio.CLOSE)
    return packet


def _prefix(namespace: str) -> str:
    return "" if namespace == "/" else namespace + ","


def _message(data: str) -> Encoded:
    packet: Encoded = eio.Packet(eio.MESSAGE, data=data)
    return packet
