"""Calls to AWS, each of which is reported; a dry run reports them and makes none."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import click
from botocore.exceptions import BotoCoreError, ClientError

Json = dict[str, Any]


class DeploymentFailed(Exception):
    """The deployment cannot go on; one sentence for the operator."""


class AwsCallRefused(DeploymentFailed):
    """AWS answered a call with an error; `code` is its error code."""

    def __init__(self, text: str, code: str) -> None:
        super().__init__(text)
        self.code = code


class AwsCalls:
    """Makes calls by the names of service and operation, as boto3 has them.

    `clients` maps services to boto3 clients; a dry run needs none.
    """

    def __init__(
        self, clients: Mapping[str, Any], report: Callable[[str], object], *, dry: bool = False
    ) -> None:
        self._clients = clients
        self.report = report
        self.dry = dry

    def __call__(self, service: str, operation: str, **parameters: Any) -> Json:
        """Make one call and return its answer, empty in a dry run.

        Raises AwsCallRefused for an error of AWS, else DeploymentFailed.
        """
        shown = {
            name: f"<{len(value)} bytes>" if isinstance(value, bytes) else value
            for name, value in parameters.items()
        }
        words = (f"{name}={json.dumps(value)}" for name, value in shown.items())
        self.report(" ".join([f"{service}.{operation}", *words]))
        if self.dry:
            return {}
        try:
            answer: Json = getattr(self._clients[service], operation)(**parameters)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            raise AwsCallRefused(f"{service}.{operation}: {error}.", code) from None
        except BotoCoreError as error:
            raise DeploymentFailed(f"{service}.{operation}: {error}.") from None
        return answer


def aws_clients(names: Iterable[str], region: str | None) -> dict[str, Any]:
    """Return boto3's clients by the names of their services. Raises UsageError without a region."""
    import boto3

    try:
        session = boto3.Session(region_name=region or os.environ.get("AWS_REGION"))
        return {name: session.client(name) for name in names}  # type: ignore[call-overload]
    except BotoCoreError as error:
        raise click.UsageError(str(error)) from None
