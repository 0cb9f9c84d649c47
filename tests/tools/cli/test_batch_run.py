"""Batches of an operator's command: results, errors, and the summary."""

from __future__ import annotations

import asyncio

import pytest

from rts_server.tools.cli.api_client import ApiError, ServerUnreachable
from rts_server.tools.cli.batch_run import BatchRun, ItemResult
from rts_server.tools.cli.output import CommandOutput

VERBS = {"done": "done", "none": "as before"}
REFUSED = ApiError("gone", "The room is deleted.")


def processing(items: list[str]) -> BatchRun[str]:
    """A run over names, with text for people."""
    return BatchRun(CommandOutput(as_json=False), items, VERBS, lambda item: item)


async def test_a_run_without_errors_ends_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    """The summary counts each action, and results that are not stored yet."""

    async def process(item: str) -> ItemResult:
        if item == "b":
            return ItemResult(item, "none")
        return ItemResult(item, "done", {}, (f"+ {item}",), "accepted")

    assert await processing(["a", "b", "c"]).process(process, 2) == 0
    assert capsys.readouterr().out.splitlines() == [
        "+ a",
        "+ c",
        "2 done, 1 as before, 2 not stored yet.",
    ]


async def test_an_item_that_fails_is_left_and_the_others_are_done(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The failed item is listed with its reason, and the exit code is 1."""

    async def process(item: str) -> ItemResult:
        return ItemResult(item, error=REFUSED) if item == "a" else ItemResult(item, "done")

    assert await processing(["a", "b"]).process(process, 1) == 1
    assert capsys.readouterr().out.splitlines() == [
        "! a: gone: The room is deleted.",
        "1 done, 0 as before, 1 left.",
    ]


@pytest.mark.parametrize(
    "error",
    [ServerUnreachable("unreachable", "No route."), ApiError("forbidden", "Scope operator.")],
)
async def test_a_fatal_error_ends_the_run(
    error: ApiError, capsys: pytest.CaptureFixture[str]
) -> None:
    """After an error that every item would meet, the others are listed as not tried."""
    tried = []

    async def process(item: str) -> ItemResult:
        tried.append(item)
        return ItemResult(item, error=error)

    assert await processing(["a", "b", "c"]).process(process, 1) == 1
    assert tried == ["a"]
    assert capsys.readouterr().out.splitlines()[1:] == [
        "! b: not tried",
        "! c: not tried",
        "0 done, 0 as before, 3 left.",
    ]


async def test_an_interrupted_run_prints_its_summary(capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C, which cancels the run, lists the items that are left."""
    begun = asyncio.Event()

    async def process(item: str) -> ItemResult:
        if item == "b":
            begun.set()
            await asyncio.Event().wait()
        return ItemResult(item, "done")

    run = asyncio.create_task(processing(["a", "b"]).process(process, 1))
    await begun.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert capsys.readouterr().out.splitlines() == [
        "! b: not tried",
        "1 done, 0 as before, 1 left.",
    ]
