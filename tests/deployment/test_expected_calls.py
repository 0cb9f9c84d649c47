"""`scripts/deploy create` and `destroy` against botocore's Stubber: each call, in its order."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from scripts.eb.calls import DeploymentFailed
from tests.deployment.fake_aws import SERVICES, Clients
from tests.deployment.fake_beanstalk import REGION
from tests.deployment.transcripts import (
    CONTENT,
    FOLDER,
    STORIES,
    AnsweredCall,
    ExpectedCall,
    expected,
    record,
)


@pytest.fixture(scope="module")
def account() -> Clients:
    """The account in memory, from which the answers are."""
    return Clients()


@pytest.fixture(scope="module")
def clients() -> dict[str, Any]:
    """boto3's clients, which are slow to make."""
    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": REGION}
    return {name: boto3.client(name, **keys) for name in SERVICES}  # type: ignore[call-overload]


def expect(stubs: dict[str, Stubber], line: ExpectedCall, answer: AnsweredCall) -> None:
    """Let a stub accept exactly this call next. It holds request and answer against AWS's model."""
    service, _, operation = line["call"].partition(".")
    asks = {name: ANY if value == CONTENT else value for name, value in line["asks"].items()}
    if "error" in answer:
        code, message = answer["error"]
        stubs[service].add_client_error(operation, code, message, expected_params=asks)
    else:
        stubs[service].add_response(operation, answer["answers"], asks)


@pytest.mark.parametrize("name", STORIES)
def test_each_call_is_made_with_its_parameters_in_its_order(
    clients: dict[str, Any], account: Clients, name: str
) -> None:
    """Also where the first run ends in the middle and the second one goes on; nothing else."""
    story, lines = STORIES[name], expected(name)
    stubs = {service: Stubber(client) for service, client in clients.items()}
    for line, answer in zip(lines, record(story, account), strict=True):
        expect(stubs, line, answer)
    made: list[str] = []
    with ExitStack() as active:
        for stub in stubs.values():
            active.enter_context(stub)
        for _ in range(story.runs - 1):
            with pytest.raises(DeploymentFailed):
                story.program(clients, made.append)
        story.program(clients, made.append)
        for stub in stubs.values():
            stub.assert_no_pending_responses()
    calls = [line.split()[0] for line in made if not line.startswith("#")]
    assert calls == [line["call"] for line in lines]


def test_every_story_is_told() -> None:
    """No file of calls is left of a story that is gone."""
    assert {path.stem for path in FOLDER.iterdir()} == STORIES.keys()
