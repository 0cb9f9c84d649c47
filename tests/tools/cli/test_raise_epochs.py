"""After a restore of the tables no position is issued twice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from click.testing import CliRunner

from lambdas.chat_message_to_db.handler import lambda_handler as message_handler
from rts_server.config import Settings
from rts_server.persistence.archive import Archive
from rts_server.tools.cli.raise_epochs import raise_epochs
from tests.helpers import aws
from tests.helpers.record_samples import new


@pytest.fixture
def tables() -> Iterator[None]:
    """Empty tables in this process."""
    with aws.pretended():
        yield


async def test_the_next_epoch_is_above_all_that_were_issued(tables: None) -> None:
    """Epochs rise by 1,000 and nothing else changes; a room without an epoch gets none."""
    archive = Archive(Settings())
    for room_id in ("r1", "r2"):
        assert await archive.open_epoch(room_id, 0, 0) == 1
    message_handler(aws.event(new(1, 2, 1, room_id="r1"), new(1, 2, 1, room_id="r3")), None)
    before = await archive.room("r1")
    counted = CliRunner().invoke(raise_epochs, ["chat-rooms", "--dry-run"])
    assert counted.output == "2 rooms of chat-rooms would be raised by 1,000 epochs.\n"
    assert await archive.room("r1") == before
    result = CliRunner().invoke(raise_epochs, ["chat-rooms"])
    assert result.output == "2 rooms of chat-rooms raised by 1,000 epochs.\n"
    after = await archive.room("r1")
    assert before is not None
    assert after is not None
    assert (after.epoch, after.seq, after.starts) == (1001, before.seq, before.starts)
    assert await archive.open_epoch("r1", 1001, 1) == 1002
    unopened = await archive.room("r3")
    assert unopened is not None
    assert unopened.epoch == 0
    await archive.close()


@pytest.mark.parametrize("region", [None, "eu-west-1"])
async def test_what_aws_refuses_is_one_sentence(tables: None, region: str | None) -> None:
    """Without a region, or with that of another table, the command says so and fails."""
    unset = dict.fromkeys(("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"))
    options = ["--region", region] if region else []
    result = CliRunner().invoke(raise_epochs, ["chat-rooms", *options], env=unset)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert result.stderr.startswith("rts-server: Not all epochs of chat-rooms are raised: ")
    assert ("not found" if region else "You must specify a region") in result.stderr
