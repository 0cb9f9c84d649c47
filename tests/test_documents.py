"""Every command of every document works as written."""

from __future__ import annotations

import re
import shlex
import subprocess
from importlib.util import find_spec
from pathlib import Path

import click
import pytest

from rts_server.__main__ import main
from tests.helpers import aws_cli, network_cli, npm_cli
from tests.helpers.documents import (
    NEEDS,
    PAGES,
    ROOT,
    SHELLS,
    Shell,
    blocks_of,
    commands_in_text,
    is_as_written,
)
from tests.helpers.world import World, name

OTHER_LANGUAGES = {
    "http",
    "ini",
    "js",
    "json",
    "lua",
    "mermaid",
    "python",
    "text",
    "ts",
    "tsx",
    "yaml",
}
COMMAND = re.compile(
    r"^(\$|rts-server|aws|make|python3?|curl|scripts/|\.venv/bin/)\s?\S", re.MULTILINE
)
DEV_URL, AWS_URL = "http://127.0.0.1:8000", "https://chat.example.com"


def name_of(page: Path) -> str:
    """The path of a page from the root."""
    return str(page.relative_to(ROOT))


def pages_with(needs: str) -> list[Path]:
    """Pages with a block that needs this."""
    return [page for page in PAGES if any(block.needs == needs for block in blocks_of(page))]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_each_block_says_its_language_and_what_its_commands_need(page: Path) -> None:
    """No block has commands that this file would not see."""
    for block in blocks_of(page):
        if block.language in SHELLS:
            assert block.needs in NEEDS, f"{block.place}: needs one of {[*NEEDS]}"
        else:
            assert block.language in OTHER_LANGUAGES, block.place
            assert not COMMAND.search(block.text), f"{block.place}: commands in a block of no shell"


@pytest.mark.parametrize("page", pages_with("run"), ids=name_of)
def test_what_needs_a_checkout_runs(page: Path, tmp_path: Path) -> None:
    """As after `make setup`; targets of make are looked up, not made."""
    blocks = [block for block in blocks_of(page) if block.needs == "run"]
    assert Shell(tmp_path).run_blocks(blocks) == []


@pytest.mark.parametrize("page", pages_with("stack"), ids=name_of)
def test_what_needs_a_server_runs_and_prints_what_the_page_shows(
    page: Path, tmp_path: Path, world: World
) -> None:
    """In the order of the page, against a deployment of the tests in place of `make run`."""
    shell = Shell(tmp_path)
    (shell.folder / ".rts").symlink_to(world.data)
    room = name("order")  # The examples of the REST interface create and delete order-17.
    blocks = [
        block.at(DEV_URL, world.urls[0]).at("order-17", room)
        for block in blocks_of(page)
        if block.needs == "stack"
    ]
    assert shell.run_blocks(blocks) == []


@pytest.mark.parametrize("page", pages_with("aws"), ids=name_of)
def test_what_needs_aws_is_understood_by_the_aws_cli_and_by_our_programs(
    page: Path, tmp_path: Path, world: World
) -> None:
    """Calls of `aws` are checked against botocore, scripts/deploy prints its calls, and operators'
    commands reach a deployment of the tests, whose secret is the one that AWS would tell."""
    secret = (world.data / "secret").read_text()
    shell = Shell(tmp_path, AWS_REGION="eu-central-1", **{aws_cli.TEXT_VARIABLE: secret})
    blocks = [block for block in blocks_of(page) if block.needs == "aws"]
    there = (f"RTS_URL={AWS_URL}", f"RTS_URL={world.urls[0]}")
    assert shell.run_blocks(block.at(*there) for block in blocks) == []


@pytest.mark.parametrize("page", pages_with("instance"), ids=name_of)
def test_what_needs_an_instance_is_at_least_shell(page: Path, tmp_path: Path) -> None:
    """systemd and the platform's files are not here."""
    for block in blocks_of(page):
        if block.needs == "instance":
            for line in block.text.splitlines():
                assert shlex.split(line)


def test_make_help_lists_every_target() -> None:
    """With what it does, in a line each."""
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    done = subprocess.run(
        ["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    described = re.findall(r"^make (\w+)\s+\S", done, re.MULTILINE)
    assert phony is not None
    assert sorted(described) == sorted(phony[1].split())


def is_known(command: str) -> bool:
    """Whether the program of a command between backticks has what the command names."""
    words = [word for word in shlex.split(command) if word != "…"]
    if words[1:2] == ["-m"]:
        return find_spec(words[2]) is not None
    if words[0] == "aws":
        aws_cli.check(words[1:])
        return True
    if words[0] == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        return words[1] in targets
    if not words[0].endswith("rts-server"):
        script = ROOT / words[0]
        if script.suffix != ".py":
            return script.exists()
        words[0] = script.stem.replace("_", "-")
    else:
        words = words[1:]
    return has_command(main, words)


def has_command(command: click.Command, words: list[str]) -> bool:
    """Whether a command line names commands and options that exist; arguments may be missing."""
    if isinstance(command, click.Group) and words and not words[0].startswith("-"):
        below = command.commands.get(words[0])
        return below is not None and has_command(below, words[1:])
    known = {name for one in command.params for name in one.opts} | {"--help", "--version"}
    return {word.partition("=")[0] for word in words if word.startswith("--")} <= known


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_in_the_text_exist(page: Path) -> None:
    """Between backticks too, a command has the name and the options that the program knows."""
    wrong = []
    for command in commands_in_text(page):
        try:
            if not is_known(command):
                wrong.append(command)
        except (aws_cli.WrongCall, ValueError) as error:
            wrong.append(f"{command}: {error}")
    assert wrong == []


@pytest.mark.parametrize(
    "words",
    [
        ["nosuch", "list"],
        ["sqs", "get-queue-attribute"],
        ["sqs", "get-queue-attributes", "--queue-uri", "x"],
        ["sqs", "get-queue-attributes", "--attribute-names", "All"],
        ["sqs", "get-queue-attributes", "--queue-url", "x", "--attribute-names", "Size"],
        ["sqs", "list-queues", "--query", "QueueUrl[]"],
        ["sqs", "list-queues", "--query", "QueueUrls["],
        ["s3", "cp", "a", "b", "--recurse"],
    ],
)
def test_the_stand_in_for_the_aws_cli_refuses_what_the_cli_refuses(words: list[str]) -> None:
    """Unknown services, operations, options, values and fields, and what is missing."""
    with pytest.raises(aws_cli.WrongCall):
        aws_cli.check(words)


@pytest.mark.parametrize(
    "words",
    [
        ["i", "rts-chat"],
        ["install", "rts-chat"],
        ["install", "rts-chat", "socket.io"],
        ["run", "start", "--workspace", "react"],
        ["run", "dev", "--workspace", "vue"],
    ],
)
def test_the_stand_in_for_npm_refuses_what_is_not_there(words: list[str]) -> None:
    """A package that ours does not need, a script and a workspace that nobody has."""
    with pytest.raises(npm_cli.WrongCall):
        npm_cli.check(words, ROOT / "examples")


def test_an_ellipsis_stands_for_any_output() -> None:
    """Everything else of an output is compared."""
    assert is_as_written("a … c\n…\n", "a b c\nd\ne\n")
    assert not is_as_written("a\n", "a\nb\n")


@pytest.mark.parametrize(
    "line",
    [
        "curl -s",
        "curl -s chat.example.com",
        "curl --silly https://chat.example.com",
        "dig +sort chat.example.com",
        "dig NX example.com",
        "openssl s_client -tls1_1",
        "openssl s_client -connect chat.example.com",
        "openssl client -connect chat.example.com:443",
    ],
)
def test_a_wrong_command_of_the_network_is_found(line: str) -> None:
    """A misspelt option, an address without its scheme or port, a word that is missing."""
    program, *words = shlex.split(line)
    with pytest.raises(SystemExit):
        network_cli.check(program, words)
