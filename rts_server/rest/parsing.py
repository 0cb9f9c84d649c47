"""webargs for our routes: raises the errors of the catalogue instead of HTTP exceptions."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, NoReturn

import orjson
from aiohttp import web
from marshmallow import Schema, ValidationError, missing
from webargs.aiohttpparser import AIOHTTPParser

from rts_server import errors
from rts_server.engine.polling import BODY_TIMEOUT_SECONDS


class Parser(AIOHTTPParser):
    """Unknown fields are left to the schemas, which refuse them by name."""

    DEFAULT_UNKNOWN_BY_LOCATION: dict[str, str | None] = {}  # noqa: RUF012 - as webargs types it

    async def load_json(self, req: web.Request, schema: Schema) -> Any:
        """Parse the body as strictly as a frame: no NaN, no lone surrogates (RFC 8259).

        Raises BadRequest, UnsupportedType.
        """
        if req.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise errors.UnsupportedType("The body must not have a Content-Encoding.")
        try:
            async with asyncio.timeout(BODY_TIMEOUT_SECONDS):
                body = await req.read()
        except web.RequestPayloadError:
            raise errors.BadRequest("The body could not be read.") from None
        except TimeoutError:
            raise errors.BadRequest("The body did not arrive in time.") from None
        if not body:
            return missing
        if req.content_type != "application/json":
            raise errors.UnsupportedType("The body must be application/json.")
        try:
            value = orjson.loads(body)
        except orjson.JSONDecodeError:
            raise errors.BadRequest("The body is not JSON.") from None
        if not isinstance(value, dict):
            raise errors.BadRequest("The body must be one JSON object.")
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
        """Raise InvalidParam with the errors by field, whatever part of the request they are in."""
        fields: dict[str, object] = {}
        for messages in error.messages_dict.values():
            fields |= messages
        raise errors.InvalidParam(details=errors.details(fields)) from None
