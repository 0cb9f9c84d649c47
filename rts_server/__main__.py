"""The command line: `rts-server serve`, `relay`, `dev` and the operators' commands."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import click
from botocore.exceptions import BotoCoreError, ClientError
from redis.exceptions import RedisError

from rts_server import auth, config_listing, config_loading
from rts_server.config import Settings
from rts_server.config_loading import ConfigError
from rts_server.errors import Unavailable
from rts_server.tools.cli.command import example
from rts_server.tools.cli.instances import instances
from rts_server.tools.cli.members import members
from rts_server.tools.cli.notice import notice
from rts_server.tools.cli.presence import presence
from rts_server.tools.cli.quarantine import quarantine
from rts_server.tools.cli.queues import queues
from rts_server.tools.cli.raise_epochs import raise_epochs
from rts_server.tools.cli.rooms import rooms
from rts_server.tools.cli.unread import unread
from rts_server.tools.cli.user import user
from rts_server.tools.cli.verify import verify

OPERATORS_COMMANDS = (
    instances,
    members,
    notice,
    presence,
    quarantine,
    queues,
    raise_epochs,
    rooms,
    unread,
    user,
    verify,
)

data_option = click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=".rts",
    show_default=True,
    help="Data directory of `rts-server dev`.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="rts-server")
def main() -> None:
    """Real-time chat backend: Socket.IO in front, Redis between, DynamoDB behind."""


@main.command()
def serve() -> None:
    """Run the web process: Socket.IO, REST and health checks; RTS_WEB_PROCESSES runs several."""
    settings = _server_settings()
    if settings.web_processes > 1:
        from rts_server.web_processes import run_web_processes

        run_web_processes(settings)
    else:
        from rts_server.processes import run_web

        run_web(settings)


@main.command()
def relay() -> None:
    """Run one relay process, which moves records from Redis to SQS."""
    settings = _server_settings()
    from rts_server.processes import run_relay

    run_relay(settings)


@main.command()
@click.option("--instances", type=click.IntRange(1, 64), default=1, help="Number of web processes.")
@click.option(
    "--port",
    type=click.IntRange(1, 65_535),
    help="Port of the first web process; the others follow. [RTS_PORT or 8000]",
)
@click.option("--fresh", is_flag=True, help="Delete all data except the development secret.")
@click.option("--limits", type=click.Choice(["standard", "relaxed"]), help="Rate limits. [relaxed]")
@click.option(
    "--shards",
    type=click.IntRange(1, 16),
    default=1,
    help="Primaries of a local cluster. [1: none]",
)
@data_option
def dev(
    instances: int, port: int | None, fresh: bool, limits: str | None, shards: int, data: Path
) -> None:
    """Run Valkey, a local AWS, relay and web on this machine."""
    from rts_server.tools.dev.session import SessionOptions, run_session
    from rts_server.tools.dev.stack_error import StackError

    try:
        run_session(SessionOptions(data, instances, port, fresh, limits, shards))
    except (StackError, ConfigError) as error:
        _fail(str(error), 1 if isinstance(error, StackError) else 2)


@main.command()
@click.option("--user", required=True, help="The user id.")
@click.option("--name", help="The display name.")
@click.option("--scope", type=click.Choice(["operator"]), help="Allows the operators' REST routes.")
@click.option(
    "--lifetime", type=click.IntRange(1), default=86_400, show_default=True, help="Seconds."
)
@data_option
def token(user: str, name: str | None, scope: str | None, lifetime: int, data: Path) -> None:
    """Print a signed token (JWT) to standard output, and nothing else."""
    if not auth.USER_ID.fullmatch(user):
        _fail("A user id consists of 1 to 128 printable ASCII characters without spaces.", 2)
    settings = _settings()
    if not settings.jwt_secret:
        settings = replace(settings, jwt_secret=_dev_secret(data))
    click.echo(auth.issue(settings, user, name=name, scope=scope, lifetime=lifetime))


@main.command()
@click.argument("message_id")
@click.option("--room", help="The room id; if omitted, it is looked up in the logs.")
@click.option(
    "--hours", type=float, default=24.0, show_default=True, help="How far back to search."
)
@click.option(
    "--log-group", "groups", multiple=True, help="Another CloudWatch log group; may be repeated."
)
@click.option("--logs", type=click.Path(path_type=Path), help="Directory of log files. [DATA/logs]")
@data_option
def trace(
    message_id: str,
    room: str | None,
    hours: float,
    groups: tuple[str, ...],
    logs: Path | None,
    data: Path,
) -> None:
    """Show the timeline of a message.

    It is read from logs, Redis and tables, and does not show the text.
    """
    from rts_server import stack_names
    from rts_server.admin.message_timeline import LogSources, UnknownMessage, read_timeline
    from rts_server.tools.dev.running_stack import with_running_stack

    settings = with_running_stack(_settings(), data)
    own = stack_names.log_groups(settings.stack)
    where = LogSources(logs or data / "logs", (*own, *groups), hours)
    try:
        steps = asyncio.run(read_timeline(settings, message_id, where, room))
    except UnknownMessage as unknown:
        _fail(str(unknown), 1)
    except (RedisError, BotoCoreError, ClientError, Unavailable) as error:
        _fail(f"The timeline cannot be read: {type(error).__name__}.", 1)
    for step in steps:
        ids = " ".join(f"{name}={value}" for name, value in step.ids.items())
        click.echo(f"{step.at:<24}  {step.what}  {ids}".rstrip())


@main.command(name="config")
@click.option("--describe", is_flag=True, help="Add a description of each setting.")
def show_config(describe: bool) -> None:
    """List all settings with their source; secrets are masked."""
    rows = config_listing.describe(_settings())
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for *columns, description in rows:
        cells = [f"{text:<{width}}" for text, width in zip(columns, widths, strict=True)]
        click.echo("  ".join([*cells, description] if describe else cells).rstrip())


@main.command("build-lambdas", epilog=example("rts-server build-lambdas > build/keys"))
@click.option(
    "--into",
    type=click.Path(file_okay=False, path_type=Path),
    default="build",
    show_default=True,
    help="Folder for the zips.",
)
def build_lambdas(into: Path) -> None:
    """Build the zips of the Lambda functions, to be uploaded to AWS.

    Their names are their keys and contain the hash, because CloudFormation deploys new code only
    from a new key. Prints the template's parameters with these keys, for --parameter-overrides.
    The same sources give the same bytes, for any processor.
    """
    from rts_server.tools.dev import zips
    from rts_server.tools.dev.stack_error import StackError

    try:
        packed = zips.build()
    except StackError as error:
        _fail(str(error), 1)
    into.mkdir(parents=True, exist_ok=True)
    for name, data in packed.items():
        key = zips.code_key(name, data)
        (into / key).write_bytes(data)
        click.echo(f"{zips.KEY_PARAMETERS[name]}={key}")
        click.echo(f"{into / key}: {len(data)} bytes", err=True)


for command in OPERATORS_COMMANDS:
    main.add_command(command)


def _settings() -> Settings:
    try:
        return config_loading.load()
    except ConfigError as error:
        _fail(str(error), 2)


def _server_settings() -> Settings:
    """Return the settings of a server, which must be able to verify tokens."""
    settings = _settings()
    if not settings.jwt_secret and not settings.jwks_url:
        _fail("RTS_JWT_SECRET or RTS_JWKS_URL is missing; users' tokens are verified with it.", 2)
    return settings


def _dev_secret(data: Path) -> str:
    try:
        return (data / "secret").read_text().strip()
    except OSError:
        _fail(
            f"RTS_JWT_SECRET is missing, and {data} holds no development secret; "
            "run `rts-server dev` once, or set the variable.",
            2,
        )


def _fail(sentence: str, code: int) -> NoReturn:
    click.echo(f"rts-server: {sentence}", err=True)
    sys.exit(code)


if __name__ == "__main__":
    main(prog_name="rts-server")
