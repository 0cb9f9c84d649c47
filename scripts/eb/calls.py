"""Calls to AWS, each of them told; a dry run tells them and makes none."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

Json = dict[str, Any]


class Failed(Exception):
    """A deployment cannot go on; one sentence for the operator."""


class Refused(Failed):
    """AWS answered with an error; `code` is its name."""

    def __init__(self, text: str, code: str) -> None:
        super().__init__(text)
        self.code = code


class Calls:
    """`clients` by the name of their service; a dry run needs none."""

    def __init__(
        self, clients: Mapping[str, Any], tell: Callable[[str], object], *, dry: bool = False
    ) -> None:
        self._clients = clients
        self.tell = tell
        self.dry = dry

    def __call__(self, service: str, operation: str, **asked: Any) -> Json:
        """Make one call. In a dry run the answer is empty. Raises Failed, Refused by AWS itself."""
        told = {
            name: f"<{len(v)} bytes>" if isinstance(v, bytes) else v for name, v in asked.items()
        }
        words = (f"{name}={json.dumps(value)}" for name, value in told.items())
        self.tell(" ".join([f"{service}.{operation}", *words]))
        if self.dry:
            return {}
        try:
            answer: Json = getattr(self._clients[service], operation)(**asked)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            raise Refused(f"{service}.{operation}: {error}.", code) from None
        except BotoCoreError as error:
            raise Failed(f"{service}.{operation}: {error}.") from None
        return answer
