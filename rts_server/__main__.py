"""The command line: `rts-server serve | relay | dev | token | trace | config | rooms`."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import click
from botocore.exceptions import BotoCoreError, ClientError
from redis.exceptions import RedisError

from rts_server import auth, config, config_listing
from rts_server.config import ConfigError, Settings
from rts_server.errors import Unavailable
from rts_server.tools.cli.rooms import rooms

DATA = ".rts"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="rts-server")
def main() -> None:
    """Real-time chat backend: Socket.IO in front, Redis between, DynamoDB behind."""


@main.command()
def serve() -> None:
    """Run one web process: sockets, REST, health."""
    settings = _deployed()
    from rts_server.processes import run_web

    run_web(settings)


@main.command()
def relay() -> None:
    """Run one relay: it moves records from Redis to SQS."""
    settings = _deployed()
    from rts_server.processes import run_relay

    run_relay(settings)


@main.command()
@click.option("--instances", type=click.IntRange(1, 64), default=1, help="Web processes.")
@click.option(
    "--port", type=click.IntRange(1, 65_535), help="Port of the first. [RTS_PORT or 8000]"
)
@click.option("--fresh", is_flag=True, help="Forget all data; the development secret stays.")
@click.option("--limits", type=click.Choice(["standard", "relaxed"]), help="Rates. [relaxed]")
@click.option("--data", type=click.Path(path_type=Path), default=DATA, show_default=True)
def dev(instances: int, port: int | None, fresh: bool, limits: str | None, data: Path) -> None:
    """Run everything on this machine: Valkey, a local AWS, relay, web."""
    from rts_server.tools.dev.session import Options, run
    from rts_server.tools.dev.stack_error import StackError

    try:
        run(Options(data, instances, port, fresh, limits))
    except (StackError, ConfigError) as error:
        _fail(str(error), 1 if isinstance(error, StackError) else 2)


@main.command()
@click.option("--user", required=True, help="The id of the user.")
@click.option("--name", help="The name that others see.")
@click.option("--scope", type=click.Choice(["operator"]), help="For the REST interface.")
@click.option("--lifetime", type=click.IntRange(1), default=86_400, help="Seconds.")
@click.option("--data", type=click.Path(path_type=Path), default=DATA, show_default=True)
def token(user: str, name: str | None, scope: str | None, lifetime: int, data: Path) -> None:
    """Print one token on standard output and nothing else."""
    if not auth.USER_ID.fullmatch(user):
        _fail("A user id is 1 to 128 printable ASCII characters without space.", 2)
    settings = _settings()
    if not settings.jwt_secret:
        settings = replace(settings, jwt_secret=_dev_secret(data))
    click.echo(auth.issue(settings, user, name=name, scope=scope, lifetime=lifetime))


@main.command()
@click.argument("message_id")
@click.option("--room", help="Its room; without it the logs are asked.")
@click.option("--hours", type=float, default=24.0, show_default=True, help="How far back.")
@click.option("--log-group", "groups", multiple=True, help="More log groups of CloudWatch.")
@click.option("--logs", type=click.Path(path_type=Path), help="Log files. [DATA/logs]")
@click.option("--data", type=click.Path(path_type=Path), default=DATA, show_default=True)
def trace(
    message_id: str,
    room: str | None,
    hours: float,
    groups: tuple[str, ...],
    logs: Path | None,
    data: Path,
) -> None:
    """Tell the story of a message from logs, Redis and tables, without its text."""
    from rts_server.admin.message_timeline import FUNCTIONS, Logs, UnknownMessage, story
    from rts_server.tools.dev.running import reached

    where = Logs(logs or data / "logs", (*FUNCTIONS, *groups), hours)
    try:
        steps = asyncio.run(story(reached(_settings(), data), message_id, where, room))
    except UnknownMessage:
        _fail("No log of that time names this message; give its --room, or more --hours.", 1)
    except (RedisError, BotoCoreError, ClientError, Unavailable) as error:
        _fail(f"The story cannot be told: {type(error).__name__}.", 1)
    for step in steps:
        named = " ".join(f"{name}={value}" for name, value in step.ids.items())
        click.echo(f"{step.at:<24}  {step.what}  {named}".rstrip())


@main.command(name="config")
@click.option("--describe", is_flag=True, help="Add what each setting means.")
def show_config(describe: bool) -> None:
    """List the settings with their source; secrets are masked."""
    rows = config_listing.describe(_settings())
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for *columns, description in rows:
        cells = [f"{text:<{width}}" for text, width in zip(columns, widths, strict=True)]
        click.echo("  ".join([*cells, description] if describe else cells).rstrip())


main.add_command(rooms)


def _settings() -> Settings:
    try:
        return config.load()
    except ConfigError as error:
        _fail(str(error), 2)


def _deployed() -> Settings:
    """Settings of a process that answers for others: without a secret anyone could sign."""
    settings = _settings()
    if not settings.jwt_secret and not settings.jwks_url:
        _fail("RTS_JWT_SECRET or RTS_JWKS_URL is missing: by it users' tokens are verified.", 2)
    return settings


def _dev_secret(data: Path) -> str:
    try:
        return (data / "secret").read_text().strip()
    except OSError:
        _fail(
            f"RTS_JWT_SECRET is missing, and {data} holds no development secret; "
            "run `rts-server dev` once or give the variable.",
            2,
        )


def _fail(sentence: str, code: int) -> NoReturn:
    click.echo(f"rts-server: {sentence}", err=True)
    sys.exit(code)


if __name__ == "__main__":
    main(prog_name="rts-server")
