"""The library code that is overridden or relied on is still the code that was reviewed. A failure
names the function: compare its new source with ours, then put the new hash here."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import engineio
import pytest
import redis.asyncio as redis
import socketio
from aiohttp import web
from aiohttp._websocket import helpers
from aiohttp.base_protocol import BaseProtocol
from aiohttp.web_protocol import RequestHandler
from engineio import packet as eio_packet
from engineio.async_drivers import aiohttp as driver
from engineio.async_socket import AsyncSocket
from engineio.base_socket import BaseSocket
from jwt.algorithms import HMACAlgorithm
from redis._parsers.base import BaseParser
from redis.asyncio import connection
from socketio.base_manager import BaseManager

from rts_server.config import Settings
from rts_server.engine import codec, engine, handshake, server, socket
from rts_server.engine.outgoing import OutgoingQueue
from rts_server.realtime.manager import ClientManager

REVIEWED: dict[str, tuple[Callable[..., Any], str]] = {
    "socketio AsyncServer._engineio_server_class": (
        socketio.AsyncServer._engineio_server_class,
        "b71cc608ab9f0d0d",
    ),
    "socketio AsyncServer._handle_eio_connect": (
        socketio.AsyncServer._handle_eio_connect,
        "2c2f963d1d4925cf",
    ),
    "socketio AsyncServer._handle_eio_message": (
        socketio.AsyncServer._handle_eio_message,
        "723927bfa045c8b1",
    ),
    "socketio AsyncServer._handle_eio_disconnect": (
        socketio.AsyncServer._handle_eio_disconnect,
        "75dff0ca20979416",
    ),
    "socketio AsyncServer._handle_connect": (
        socketio.AsyncServer._handle_connect,
        "2495fd869fb1f453",
    ),
    "socketio AsyncServer._handle_disconnect": (
        socketio.AsyncServer._handle_disconnect,
        "ffadb99d0ee502e4",
    ),
    "socketio AsyncServer._trigger_event": (
        socketio.AsyncServer._trigger_event,
        "5070ed8d786a673e",
    ),
    "socketio AsyncServer._send_packet": (socketio.AsyncServer._send_packet, "5a1d3c56ab22afda"),
    "socketio AsyncServer.shutdown": (socketio.AsyncServer.shutdown, "c99c13cad77fb883"),
    "socketio AsyncServer.attach": (socketio.AsyncServer.attach, "5ef360a11e819f76"),
    "socketio AsyncNamespace.trigger_event": (
        socketio.AsyncNamespace.trigger_event,
        "270487981c73cb1a",
    ),
    "socketio AsyncManager.pre_connect": (socketio.AsyncManager.pre_connect, "4bbdfdc2e311f956"),
    "socketio AsyncManager.connect": (socketio.AsyncManager.connect, "48eceeff58bc56b8"),
    "socketio AsyncManager.disconnect": (socketio.AsyncManager.disconnect, "c5e33a25d8890571"),
    "socketio AsyncManager.emit": (socketio.AsyncManager.emit, "726120933539c985"),
    "socketio BaseManager.pre_disconnect": (BaseManager.pre_disconnect, "f9b233afdfcdaf18"),
    "socketio BaseManager.is_connected": (BaseManager.is_connected, "2b6319867340cf77"),
    "socketio BaseManager.is_pre_connected": (BaseManager.is_pre_connected, "ecc4ec349c5b5bd2"),
    "socketio BaseManager.get_namespaces": (BaseManager.get_namespaces, "f2e576c9e5889a05"),
    "socketio BaseManager.sid_from_eio_sid": (BaseManager.sid_from_eio_sid, "c138b070f26ad807"),
    "socketio BaseManager.eio_sid_from_sid": (BaseManager.eio_sid_from_sid, "116a446d4a890fc6"),
    "socketio BaseManager.initialize": (BaseManager.initialize, "89518f22a1b3801c"),
    "engineio AsyncServer.attach": (engineio.AsyncServer.attach, "687701c4eeee314a"),
    "engineio AsyncServer.create_queue": (engineio.AsyncServer.create_queue, "65103eeb6cba0157"),
    "engineio AsyncServer.handle_request": (
        engineio.AsyncServer.handle_request,
        "1a599af57b230def",
    ),
    "engineio AsyncServer._handle_connect": (
        engineio.AsyncServer._handle_connect,
        "a3bc4bce3c42e29a",
    ),
    "engineio AsyncServer._trigger_event": (
        engineio.AsyncServer._trigger_event,
        "c69c6298fa03c031",
    ),
    "engineio AsyncServer.send": (engineio.AsyncServer.send, "00dfb2215a58babc"),
    "engineio AsyncServer.send_packet": (engineio.AsyncServer.send_packet, "a15fcb1545c2dc58"),
    "engineio AsyncServer.shutdown": (engineio.AsyncServer.shutdown, "7980dff388f37bc5"),
    "engineio AsyncServer._service_task": (engineio.AsyncServer._service_task, "87e2e4faa3c7020d"),
    "engineio BaseServer._cors_headers": (engineio.AsyncServer._cors_headers, "53c3eea920b99d20"),
    "engineio BaseServer._cors_allowed_origins": (
        engineio.AsyncServer._cors_allowed_origins,
        "b421a11956efeae4",
    ),
    "engineio BaseServer._upgrades": (engineio.AsyncServer._upgrades, "05431ad31b6b09fd"),
    "engineio BaseServer._get_socket": (engineio.AsyncServer._get_socket, "17b86295c8503e31"),
    "engineio BaseSocket.__init__": (BaseSocket.__init__, "c515a4a579e7a5ff"),
    "engineio AsyncSocket.poll": (AsyncSocket.poll, "49d219402ac7d557"),
    "engineio AsyncSocket.send": (AsyncSocket.send, "570def1d9f157f01"),
    "engineio AsyncSocket.check_ping_timeout": (AsyncSocket.check_ping_timeout, "30590777e44cc4a1"),
    "engineio AsyncSocket.close": (AsyncSocket.close, "a389c32d61d16153"),
    "engineio AsyncSocket.schedule_ping": (AsyncSocket.schedule_ping, "ad28edec571600f6"),
    "engineio AsyncSocket._send_ping": (AsyncSocket._send_ping, "52fd7d95a0fa617b"),
    "engineio translate_request": (driver.translate_request, "8a41e35865d6cb1b"),
    "engineio Packet.__init__": (eio_packet.Packet.__init__, "14eceb1051d352b1"),
    "engineio Packet.encode": (eio_packet.Packet.encode, "8b983fb069cbd602"),
    "engineio Packet.decode": (eio_packet.Packet.decode, "030aa5a6e2be73b6"),
    "aiohttp WebSocketResponse.__init__": (web.WebSocketResponse.__init__, "b5b1945f819f044b"),
    "aiohttp WebSocketResponse.prepare": (web.WebSocketResponse.prepare, "1083f794d85ce59c"),
    "aiohttp WebSocketResponse.write_eof": (web.WebSocketResponse.write_eof, "05a53c5a85314114"),
    "aiohttp WebSocketResponse._handshake": (web.WebSocketResponse._handshake, "3c875f95e1aea353"),
    "aiohttp WebSocketResponse.can_prepare": (
        web.WebSocketResponse.can_prepare,
        "aee0f97106381f7f",
    ),
    "aiohttp BaseProtocol.connection_lost": (BaseProtocol.connection_lost, "3160b2d93b2c1723"),
    "aiohttp Server.connection_lost": (web.Server.connection_lost, "9c248e698e53ebab"),
    "aiohttp RequestHandler.start": (RequestHandler.start, "86c9a780a36c867c"),
    "aiohttp RequestHandler._handle_request": (RequestHandler._handle_request, "c5f48891eec2bcec"),
    "aiohttp RequestHandler.finish_response": (RequestHandler.finish_response, "a6ad02088e0170c7"),
    "aiohttp RequestHandler.force_close": (RequestHandler.force_close, "d8e91175cacfb643"),
    "aiohttp BaseRequest._cancel": (web.BaseRequest._cancel, "56edead5cdfd9eaa"),
    "aiohttp RequestHandler.data_received": (RequestHandler.data_received, "5a4ac2cd67f14448"),
    "aiohttp RequestHandler.connection_lost": (RequestHandler.connection_lost, "5c21175ffe49e030"),
    "aiohttp _websocket_mask": (helpers._websocket_mask_python, "484c01f675d70741"),
    "PyJWT HMACAlgorithm.prepare_key": (HMACAlgorithm.prepare_key, "6576e3aba0df3170"),
    "redis ConnectionPool.make_connection": (
        redis.ConnectionPool.make_connection,
        "16f943ce251faf1e",
    ),
    "redis AbstractConnection.connect": (connection.AbstractConnection.connect, "d53f8058bde61dbb"),
    "redis AbstractConnection.disconnect": (
        connection.AbstractConnection.disconnect,
        "4959d1ce7f2d3580",
    ),
    "redis AbstractConnection._close": (connection.AbstractConnection._close, "27e3ba5ad605e715"),
    "redis BaseParser.parse_error": (BaseParser.parse_error, "cbe384d78b7bd005"),
}


def source_hash(function: Callable[..., Any]) -> str:
    """16 hex digits of the hash of a source, without surrounding white space."""
    return sha256(inspect.getsource(function).strip().encode()).hexdigest()[:16]


@pytest.mark.parametrize("name", REVIEWED)
def test_upstream_is_what_was_reviewed(name: str) -> None:
    """The source of each function is the one that ours was written against."""
    function, reviewed = REVIEWED[name]
    assert source_hash(function) == reviewed, f"{name} changed: review what depends on it"


def overridden(ours: type, theirs: type) -> set[str]:
    """The names of methods that a class overrides."""
    return {
        name
        for name, value in vars(ours).items()
        if inspect.isfunction(value) and name != "__init__" and hasattr(theirs, name)
    }


PAIRS: list[tuple[type, type]] = [
    (server.Server, socketio.AsyncServer),
    (engine.Engine, engineio.AsyncServer),
    (socket.Socket, AsyncSocket),
    (handshake.Handshake, web.WebSocketResponse),
    (ClientManager, socketio.AsyncManager),
]


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_every_override_was_reviewed(ours: type, theirs: type) -> None:
    """Each overridden method is in the table above."""
    known = {function for function, _ in REVIEWED.values()}
    replaced = {getattr(theirs, name) for name in overridden(ours, theirs)}
    assert {function.__qualname__ for function in replaced - known} == set()


def test_the_server_uses_our_engine_queue_and_manager() -> None:
    """Engine, queue and manager are ours, JSON is strict, and polling is off."""
    made = server.Server(Settings(), ClientManager())
    assert isinstance(made.eio, engine.Engine)
    assert isinstance(made.eio.create_queue(), OutgoingQueue)
    assert made.eio.transports == ["websocket"]
    assert made.packet_class.json is codec
    assert isinstance(made.manager, ClientManager)
    assert not made.eio.service_task_handle
