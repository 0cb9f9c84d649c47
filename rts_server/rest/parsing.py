"""webargs as our routes use it: refusals of the catalogue instead of HTTP exceptions."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, NoReturn

import orjson
from aiohttp import web
from marshmallow import Schema, ValidationError, missing
from webargs.aiohttpparser import AIOHTTPParser

from rts_server import errors

BODY_WITHIN = 10.0
"""Seconds for a body to arrive."""


class Parser(AIOHTTPParser):
    """Unknown fields are left out by the schemas, as for commands."""

    DEFAULT_UNKNOWN_BY_LOCATION: dict[str, str | None] = {}  # noqa: RUF012 - as webargs types it

    async def load_json(self, req: web.Request, schema: Schema) -> Any:
        """The body as strictly as a frame: no NaN, no half of a surrogate pair."""
        if req.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise errors.UnsupportedType("The body has no Content-Encoding.")
        try:
            async with asyncio.timeout(BODY_WITHIN):
                body = await req.read()
        except web.RequestPayloadError:
            raise errors.BadRequest("The body is broken.") from None
        except TimeoutError:
            raise errors.BadRequest("The body did not arrive.") from None
        if not body:
            return missing
        if req.content_type != "application/json":
            raise errors.UnsupportedType("The body is application/json.")
        try:
            value = orjson.loads(body)
        except orjson.JSONDecodeError:
            raise errors.BadRequest("The body is not JSON.") from None
        if not isinstance(value, dict):
            raise errors.BadRequest("The body is one object.")
        return value

    def handle_error(
        self,
        error: ValidationError,
        req: web.Request,
        schema: Schema,
        *,
        error_status_code: int | None,
        error_headers: Mapping[str, str] | None,
    ) -> NoReturn:
        """Fields by name, whatever part of the request they were in."""
        fields: dict[str, Any] = {}
        for messages in error.messages_dict.values():
            fields |= messages
        raise errors.InvalidParam(details=errors.details(fields)) from None
