"""Blue/green: a clone with the new version takes the address over once it serves."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

import click
from botocore.exceptions import BotoCoreError

from scripts.eb.calls import Calls, Failed
from scripts.eb.drain import Fleet
from scripts.eb.environments import Environment, Environments, Unclear
from scripts.eb.smoke import smoke

LONGEST_NAME = 40


@dataclass(frozen=True)
class Plan:
    """What is to happen; times in seconds."""

    live: str
    new: str
    label: str
    url: str
    timeout: float = 1800.0
    dns_ttl: float = 60.0
    keep_old: bool = False


@dataclass(frozen=True)
class Outside:
    """What a deployment does beside AWS. Both tests and drains raise Failed."""

    test: Callable[[str | None], None]
    """Of a CNAME before it is the live one; None: of the live address."""
    instances: Callable[[], list[str]]
    drain: Callable[[list[str]], None]
    pause: Callable[[float], None]


def deploy(plan: Plan, bundle: bytes, environments: Environments, outside: Outside) -> str | None:
    """Clone, deploy, wait, test, swap, test, drain, end the old one; all undone on failure.

    Returns what was not done but harms nobody. Raises Failed once things are as before, Unclear
    where they are not, or nobody knows.
    """
    live = environments.named(plan.live)
    if live.status != "Ready":
        raise Failed(f"{plan.live} is {live.status}, not Ready.")
    old = outside.instances()
    capacity = environments.capacity(plan.live, live.id)
    environments.publish(plan.label, bundle)
    made = environments.clone(live, plan.new, plan.label, capacity)
    try:
        _test(plan, environments, outside, made)
        _take_over(plan, environments, outside, live, made)
    finally:
        environments.forget(plan.new)
    told = [_end(plan, environments, outside, live, old)]
    try:
        # After the drain: until then all clients may come at once.
        environments.scale_freely(made, capacity)
    except Failed as failed:
        told.append(f"{plan.new} keeps at least {capacity.running} instances ({failed}).")
    return " ".join(filter(None, told)) or None


def _test(plan: Plan, environments: Environments, outside: Outside, made: str) -> None:
    """The clone by its own address, which no client knows; it ends if it does not serve."""
    try:
        green = environments.healthy(made, plan.timeout)
        outside.test(green.cname)
    except BaseException as why:
        environments.abandon(made, why)
        raise


def _take_over(
    plan: Plan, environments: Environments, outside: Outside, live: Environment, made: str
) -> None:
    """The swap. If the live address does not serve, back, until all know, and the clone ends."""
    environments.swap(made, live.id, plan.timeout)
    try:
        outside.pause(plan.dns_ttl)
        outside.test(None)
    except BaseException as why:
        environments.swap(live.id, made, plan.timeout)
        outside.pause(plan.dns_ttl)
        environments.abandon(made, why)
        raise


def _end(
    plan: Plan, environments: Environments, outside: Outside, live: Environment, old: list[str]
) -> str | None:
    """The old instances let their clients go, then their environment ends."""
    told = []
    try:
        outside.drain(old)
    except Failed as failed:
        told.append(f"Not drained ({failed}); instances drain when they are ended.")
    try:
        if not plan.keep_old:
            environments.terminate(live.id)
    except Failed as failed:
        told.append(f"{plan.live} still runs ({failed}).")
    return " ".join(told) or None


def name_of(live: str, label: str) -> str:
    """The new environment's name: the old one's, the version instead of what was there."""
    base = re.sub(r"-[0-9a-f]{8}$", "", live)
    return f"{base[: LONGEST_NAME - 9]}-{label[:8]}"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("application")
@click.argument("environment")
@click.argument("bundle", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--url", required=True, help="Where clients connect: https://chat.example.com")
@click.option("--region", help="Of AWS. [AWS_REGION]")
@click.option("--timeout", default=1800.0, show_default=True, help="Seconds to become healthy.")
@click.option("--dns-ttl", default=60.0, show_default=True, help="Seconds an address is cached.")
@click.option("--keep-old", is_flag=True, help="Drain the old environment, but let it be.")
@click.option("--dry-run", is_flag=True, help="Print each call; make none.")
def main(
    application: str, environment: str, bundle: Path, url: str, region: str | None, **more: object
) -> None:
    """Put BUNDLE in the place of what ENVIRONMENT of APPLICATION runs, without losing a message.

    RTS_SMOKE_TOKEN is a user's token for the test, RTS_OPERATOR_TOKEN one with scope operator for
    the drain; AWS credentials are found as ever. Exit code 0; 1 when it failed, and it says how
    things stand; 2 for a mistake in the call.

    Example: scripts/deploy chat chat-live build/rts-server.zip --url https://chat.example.com
    """
    data = bundle.read_bytes()
    label = sha256(data).hexdigest()[:12]
    dry = bool(more.pop("dry_run"))
    plan = Plan(environment, name_of(environment, label), label, url, **more)  # type: ignore[arg-type]
    if plan.new == plan.live:
        raise click.UsageError(f"{plan.live} runs this bundle already.")
    calls = Calls({} if dry else _clients(region), click.echo, dry=dry)
    outside = _rehearsed(plan) if dry else _outside(plan)
    pause = outside.pause
    try:
        undone = deploy(plan, data, Environments(calls, application, pause), outside)
    except Unclear as unclear:
        raise click.ClickException(str(unclear)) from None
    except Failed as failed:
        raise click.ClickException(f"{failed} Everything is as before.") from None
    if dry:
        return
    click.echo(undone or "The old instances are drained.")
    click.echo(f"{plan.new} serves {url}; it is the ENVIRONMENT of the next deployment.")


def _clients(region: str | None) -> dict[str, object]:
    import boto3

    try:
        session = boto3.Session(region_name=region or os.environ.get("AWS_REGION"))
        return {name: session.client(name) for name in ("elasticbeanstalk", "s3")}
    except BotoCoreError as error:
        raise click.UsageError(str(error)) from None


def _outside(plan: Plan) -> Outside:
    token, operator = (_given(f"RTS_{who}_TOKEN") for who in ("SMOKE", "OPERATOR"))
    fleet, where = Fleet(plan.url, operator, time.sleep), urlsplit(plan.url)

    def test(cname: str | None) -> None:
        click.echo(f"smoke test of {cname or plan.url}")
        if cname is None:
            smoke(plan.url, token)
        else:
            host = where.hostname if where.scheme == "https" else None
            smoke(f"{where.scheme}://{cname}", token, host)

    def instances() -> list[str]:
        with suppress(Failed):
            return list(fleet.connections())
        return []

    def drain(old: list[str]) -> None:
        if not old:
            raise Failed("no instance was listed before")
        click.echo(f"drain of {', '.join(old)}")
        fleet.drain(old)

    return Outside(test, instances, drain, time.sleep)


def _rehearsed(plan: Plan) -> Outside:
    """The same steps, only told."""
    return Outside(
        lambda cname: click.echo(f"smoke test of {cname or plan.url}"),
        lambda: [f"<instances of {plan.live}>"],
        lambda old: click.echo(f"drain of {', '.join(old)}"),
        lambda seconds: click.echo(f"pause of {seconds:.0f} s"),
    )


def _given(variable: str) -> str:
    if not (value := os.environ.get(variable)):
        raise click.UsageError(f"{variable} is missing.")
    return value


if __name__ == "__main__":
    main(prog_name="scripts/deploy")
