"""Clients of DynamoDB, whose answers are taken as the JSON that they are."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from botocore.config import Config
from botocore.exceptions import HTTPClientError
from botocore.model import Shape
from botocore.parsers import JSONParser, ResponseParser, ResponseParserFactory

from rts_server.config import Settings
from rts_server.errors import Unavailable
from rts_server.persistence import aws

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import KeysAndAttributesUnionTypeDef


KEYS_PER_BATCH = 100
"""Keys of one BatchGetItem (DynamoDB quotas)."""
UNPROCESSED_TRIES = 5
"""Requests for keys that DynamoDB left unprocessed because of throttling."""


class DynamoDBClients(NamedTuple):
    """Clients are safe to share between threads.

    `plain` speaks Python's own types; `raw` DynamoDB's JSON, as `{"S": "text"}`, for reads of many
    items by one attribute or two: converting costs far more than all else of such a read.
    """

    plain: DynamoDBClient
    raw: DynamoDBClient

    def close(self) -> None:
        """Close the connections."""
        self.plain.close()
        self.raw.close()


def dynamodb_clients(settings: Settings, config: Config) -> DynamoDBClients:
    """Return clients for the tables of the settings."""
    core = aws.botocore_session()
    core.register_component("response_parser_factory", _UnconvertedFactory())
    session, url = aws.session(settings, core), settings.aws_endpoint_url
    # A client is safe to share between threads, a resource is not.
    plain = session.resource("dynamodb", endpoint_url=url, config=config).meta.client
    return DynamoDBClients(plain, session.client("dynamodb", endpoint_url=url, config=config))


def batch_get(
    client: DynamoDBClient, table: str, keys: Sequence[dict[str, str]]
) -> Iterator[dict[str, Any]]:
    """Yield the items of these keys, read consistently, in no order; absent ones are left out.

    Raises Unavailable if DynamoDB left keys unprocessed, however often it was asked.
    """
    for at in range(0, len(keys), KEYS_PER_BATCH):
        yield from _chunk(client, table, keys[at : at + KEYS_PER_BATCH])


def _chunk(
    client: DynamoDBClient, table: str, keys: Sequence[dict[str, str]]
) -> Iterator[dict[str, Any]]:
    request: Mapping[str, KeysAndAttributesUnionTypeDef] = {
        table: {"Keys": keys, "ConsistentRead": True}
    }
    for attempt in range(UNPROCESSED_TRIES):
        answer = client.batch_get_item(RequestItems=request)
        yield from answer["Responses"].get(table, ())
        request = answer.get("UnprocessedKeys")
        if not request:
            return
        time.sleep(0.02 * 2**attempt)
    raise Unavailable("The archive is too busy.")


class _Unconverted(JSONParser):
    """Parses answers without a walk through their description.

    That would find nothing to convert: only binary values and dates look otherwise in JSON, and
    the items of this server have none.
    """

    def parse(self, response: Mapping[str, Any], shape: Shape) -> Any:
        """Return an answer; errors are parsed by botocore."""
        status = response["status_code"]
        if status >= 300:
            return super().parse(response, shape)
        try:
            answer = orjson.loads(response["body"])
        except ValueError as error:  # it is not DynamoDB that answered
            raise HTTPClientError(error=error) from None
        answer["ResponseMetadata"] = {"HTTPStatusCode": status}
        return answer


class _UnconvertedFactory(ResponseParserFactory):
    """Returns one parser for all answers; it has no state."""

    def __init__(self) -> None:
        super().__init__()
        self._parser = _Unconverted()

    def create_parser(self, protocol_name: str) -> ResponseParser:
        """Return the parser. DynamoDB speaks JSON alone."""
        return self._parser
