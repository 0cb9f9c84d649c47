"""Answers of DynamoDB are the same without botocore's walk through them; errors are its own."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from botocore.config import Config
from botocore.exceptions import HTTPClientError
from botocore.parsers import JSONParser

from rts_server.config import Settings
from rts_server.persistence.dynamodb import DynamoDBClients, dynamodb_clients
from tests.helpers import aws

ITEM = {
    "room_id": {"S": "r1"},
    "seq": {"N": "12"},
    "muted": {"BOOL": False},
    "name": {"NULL": True},
    "starts": {"L": [{"S": "1:0"}, {"M": {"a": {"N": "1"}}}]},
    "tags": {"SS": ["a", "b"]},
    "seqs": {"NS": ["1", "2"]},
}


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> DynamoDBClients:
    """Clients that call nobody."""
    for name, value in aws.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    return dynamodb_clients(Settings(), Config())


def parsed(clients: DynamoDBClients, by: Any, body: bytes, status: int = 200) -> dict[str, Any]:
    """Return an answer to a query as a parser returns it."""
    headers: dict[str, str] = {}
    shape = clients.raw.meta.service_model.operation_model("Query").output_shape
    answer = by.parse({"status_code": status, "headers": headers, "body": body}, shape)
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}


def parser_of(clients: DynamoDBClients) -> Any:
    """Return the parser of the clients' answers."""
    endpoint: Any = vars(clients.raw)["_endpoint"]
    return vars(endpoint)["_response_parser_factory"].create_parser("json")


def test_an_answer_is_as_botocore_parses_it(clients: DynamoDBClients) -> None:
    """For items of every type that is stored."""
    whole = {"Items": [ITEM], "Count": 1, "LastEvaluatedKey": {"room_id": {"S": "r1"}}}
    for answer in (whole, {"Items": [], "Count": 0}):
        body = orjson.dumps(answer)
        assert parsed(clients, parser_of(clients), body) == parsed(clients, JSONParser(), body)


def test_an_error_is_parsed_by_botocore(clients: DynamoDBClients) -> None:
    """Its code decides whether a request is repeated."""
    body = b'{"__type":"com.amazonaws.dynamodb.v20120810#ThrottlingException","message":"slow"}'
    found = parsed(clients, parser_of(clients), body, 400)
    assert found["Error"] == {"Code": "ThrottlingException", "Message": "slow"}


def test_an_answer_of_somebody_else_is_an_error_of_the_connection(clients: DynamoDBClients) -> None:
    """As of a proxy that answers with a page."""
    with pytest.raises(HTTPClientError):
        parsed(clients, parser_of(clients), b"<html></html>")
