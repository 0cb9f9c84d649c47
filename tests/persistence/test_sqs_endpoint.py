"""Calls of SQS, on a server that answers as a test wants; tests/relay has the real protocol."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials

from rts_server.config import Settings
from rts_server.persistence.sqs_endpoint import CallRefused, SqsEndpoint
from tests.helpers import aws

ENTRIES = [{"Id": "0", "MessageBody": "a"}, {"Id": "1", "MessageBody": "b"}]


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set credentials that boto3 finds."""
    for name, value in aws.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@asynccontextmanager
async def endpoint(
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]], timeout: float = 30.0
) -> AsyncIterator[SqsEndpoint]:
    """Return an endpoint whose calls are answered by `answer`."""
    app = web.Application(client_max_size=16 * 1024 * 1024)
    app.router.add_post("/", answer)
    async with TestServer(app) as server:
        url = str(server.make_url("/")).rstrip("/")
        sqs = SqsEndpoint(Settings(aws_endpoint_url=url), timeout, 2)
        try:
            yield sqs
        finally:
            await sqs.close()


def signature(request: web.Request, body: bytes) -> str:
    """Return the signature that AWS computes of what arrived."""
    names = ("Content-Type", "X-Amz-Target", "X-Amz-Date")
    headers = {name: request.headers[name] for name in names}
    arrived = AWSRequest("POST", f"http://{request.host}/", headers, body)
    arrived.context["timestamp"] = headers["X-Amz-Date"]
    credentials = ReadOnlyCredentials("test", aws.ENVIRONMENT["AWS_SECRET_ACCESS_KEY"], None)
    auth = SigV4Auth(credentials, "sqs", Settings().aws_region)
    text = auth.string_to_sign(arrived, auth.canonical_request(arrived))
    return str(auth.signature(text, arrived))


async def test_a_batch_is_one_signed_request_and_the_accepted_ids_are_returned() -> None:
    """Calls share a connection; the body is JSON, also above a mebibyte."""
    seen: list[tuple[str, Any]] = []
    peers = set()

    async def answer(request: web.Request) -> web.Response:
        body = await request.read()
        assert request.headers["Authorization"].endswith(f"Signature={signature(request, body)}")
        peers.add(request.transport.get_extra_info("peername") if request.transport else None)
        seen.append((request.headers["X-Amz-Target"], json.loads(body)))
        return web.json_response({"QueueUrl": "there", "Successful": [{"Id": "1"}]})

    large = [{"Id": "0", "MessageBody": '"' * 700_000}]
    async with endpoint(answer) as sqs:
        assert await sqs.get_queue_url("name") == "there"
        assert await sqs.send_message_batch("there", ENTRIES) == ["1"]
        await sqs.send_message_batch("there", large)
    assert seen == [
        ("AmazonSQS.GetQueueUrl", {"QueueName": "name"}),
        ("AmazonSQS.SendMessageBatch", {"QueueUrl": "there", "Entries": ENTRIES}),
        ("AmazonSQS.SendMessageBatch", {"QueueUrl": "there", "Entries": large}),
    ]
    assert len(peers) == 1


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ('{"__type": "com.amazonaws.sqs#QueueDoesNotExist"}', "QueueDoesNotExist"),
        ('{"__type": "ThrottlingException"}', "ThrottlingException"),
        ("<html>", "400"),
        ("[]", "400"),
    ],
)
async def test_an_error_is_raised_with_its_code(body: str, code: str) -> None:
    """Or with the status, if the answer has none."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=400, text=body)

    async with endpoint(answer) as sqs:
        with pytest.raises(CallRefused, match=f"^{code}$"):
            await sqs.send_message_batch("there", ENTRIES)


async def test_credentials_that_are_refused_are_looked_at_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The next request is signed with those that boto3 has then."""
    keys: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        keys.append(request.headers["Authorization"].split("/")[0].rpartition("=")[2])
        return web.json_response({"__type": "#ExpiredToken"}, status=403)

    async with endpoint(answer) as sqs:
        for name in ("test", "other"):
            sqs._credentials._session.set_credentials(name, "secret")
            with pytest.raises(CallRefused, match="ExpiredToken"):
                await sqs.get_queue_url("name")
    assert keys == ["test", "other"]


async def test_a_call_without_an_answer_ends() -> None:
    """After the timeout, or with the connection."""

    over = asyncio.Event()

    async def silent(_: web.Request) -> web.Response:
        await over.wait()
        return web.Response()

    async def cut(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with endpoint(silent, timeout=0.1) as sqs:
        with pytest.raises(TimeoutError):
            await sqs.send_message_batch("there", ENTRIES)
        over.set()
    async with endpoint(cut) as sqs:
        with pytest.raises(aiohttp.ClientError):
            await sqs.send_message_batch("there", ENTRIES)
