"""The REST routes for code that blocks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any, Self, TypeVar, cast

import httpx2

from rts_chat.arguments import check_token, check_url
from rts_chat.error import ChatError, no_answer
from rts_chat.exchange import (
    LINES_TYPE,
    TIMEOUT,
    Exchange,
    data_of,
    exchange_of,
    line_of,
    pause_after,
)
from rts_chat.route import ROUTES
from rts_chat.routes import Routes

T = TypeVar("T")


class RestClient(Routes):
    """The REST routes of the server at `url`; a context manager that keeps connections open.

    `token`: one with `scope="operator"`, or a function that gives one for each request. Every route
    is safe to repeat, so what may work later is repeated, up to six times in all; what does not
    raises ChatError. Threads may share a client.
    """

    def __init__(self, url: str, token: str | Callable[[], str]) -> None:
        fixed = "" if callable(token) else check_token(token)
        self._token = token if callable(token) else lambda: fixed
        self._http = httpx2.Client(base_url=check_url(url), timeout=TIMEOUT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _call(self, answer: type[T], name: str, /, **params: Any) -> T:
        exchange = exchange_of(ROUTES[name], params)
        for attempt in count(1):
            try:
                with self._sent(exchange) as response:
                    return cast(T, data_of(response.status_code, response.read()))
            except ChatError as error:
                time.sleep(pause_after(error, attempt))
        raise AssertionError("unreachable")

    def _lines(self, line: type[T], name: str, /, **params: Any) -> Iterator[T]:
        with self._sent(exchange_of(ROUTES[name], params)) as response:
            if not response.headers.get("content-type", "").startswith(LINES_TYPE):
                data_of(response.status_code, response.read())
            for text in response.iter_lines():
                found = line_of(text)
                if found is None:
                    return
                yield cast(T, found)
        raise no_answer("The answer was cut off.")

    @contextmanager
    def _sent(self, exchange: Exchange) -> Iterator[httpx2.Response]:
        """Send once, with a token of this moment. Raises ChatError if no answer comes."""
        authorization = {"authorization": f"Bearer {check_token(self._token())}"}
        try:
            with self._http.stream(
                exchange.method,
                exchange.path,
                params=exchange.query,
                headers=exchange.headers | authorization,
                content=exchange.content,
            ) as response:
                yield response
        except httpx2.TransportError as error:
            raise no_answer(error) from error
