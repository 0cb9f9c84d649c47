"""The client of rts_server for Python back ends: tokens for users, and the REST routes.

`RestClient` blocks, `AsyncRestClient` has the same methods as coroutines. Each is named after the
operationId of its route in `/v1/openapi.json`: `message.send` is `message_send`.
"""

from rts_chat import types
from rts_chat.async_rest_client import AsyncRestClient
from rts_chat.error import ChatError
from rts_chat.rest_client import RestClient
from rts_chat.token import sign_token

__all__ = ["AsyncRestClient", "ChatError", "RestClient", "sign_token", "types"]
