"""The command line as a whole: every command is there, explained, and fails in one line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.wicket.conftest import Wicket
from wicket import cli
from wicket.command import Command, Situation
from wicket.exits import CommandError, Exit, first_of

PROMISED = """
up gateway mcp stdio init check doctor kill revive
keys.create keys.list keys.revoke keys.rotate servers.list servers.login servers.logout
approvals.list approvals.show approvals.approve approvals.deny
sessions.list sessions.show audit.show audit.verify policy.explain policy.test policy.check db.upgrade
"""
COMMANDS = cli.commands_in(cli.MODULES)


@pytest.mark.parametrize("name", PROMISED.split())
def test_a_promised_command_is_there(name: str):
    assert name.replace(".", " ") in {command.name for command in COMMANDS}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_a_command_explains_itself(wicket: Wicket, command: Command):
    ran = wicket(*command.name.split(), "--help")
    assert ran.code == 0
    assert command.summary[:30] in " ".join(ran.out.split())
    assert all(part in ran.out for part in ("--config", "--json", "docs/cli.md"))
    assert all(argument.flags[-1] in ran.out for argument in command.arguments)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_only_the_file_of_a_command_is_loaded(command: Command):
    word = command.name.split()[0]
    assert cli.HOMES.get(word, word) in cli.MODULES


def test_help_lists_everything(wicket: Wicket):
    ran = wicket("--help")
    assert ran.code == 0
    assert all(f"    {name.split('.')[0]}" in ran.out for name in PROMISED.split())


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "error: the following arguments are required: COMMAND: see `wicket --help`"),
        (["frob"], "error: argument COMMAND: invalid choice: 'frob'"),
        (["keys"], "error: the following arguments are required: COMMAND: see `wicket keys --help`"),
        (["keys", "revoke"], "error: the following arguments are required: id: see `wicket keys revoke --help`"),
        (["keys", "list", "--frob"], "error: unrecognized arguments: --frob"),
        (["keys", "list", "--", "x"], "error: nothing may follow `--` here: see `wicket --help`"),
        (["keys", "create", "--expires", "soon"], "error: argument --expires: invalid lifetime value: 'soon'"),
        (["audit", "show", "--since", "yesterday"], "error: argument --since: invalid moment value: 'yesterday'"),
    ],
)
def test_a_wrong_command_line_is_told_in_one_line(wicket: Wicket, arguments: list[str], told: str):
    ran = wicket(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(told)
    assert ran.err.count("\n") == 1


def test_a_missing_configuration_is_told_with_how_to_mend_it(wicket: Wicket):
    ran = wicket("keys", "list")
    assert (ran.code, ran.out) == (3, "")
    assert ran.err == "error: wicket.yaml: no such file: `wicket init` writes one\n"


def test_with_json_an_error_is_a_document_too(wicket: Wicket):
    ran = wicket("keys", "list", "--json")
    assert (ran.code, ran.err) == (3, "")
    assert ran.json == {"errors": ["wicket.yaml: no such file: `wicket init` writes one"]}


def test_every_mistake_of_a_configuration_has_its_line(wicket: Wicket, tmp_path: Path):
    (tmp_path / "wicket.yaml").write_text("gatway: {}\nloop: {repeat: 1}\n")
    ran = wicket("keys", "list")
    assert ran.code == 3
    assert [line.partition(": `")[0] for line in ran.err.splitlines()] == [
        "error: wicket.yaml:1",
        "error: wicket.yaml:2",
    ]


def test_a_weak_secret_is_told(wicket: Wicket, installed: Path):
    (installed / ".wicket" / "master.key").write_bytes(b"changeme")
    ran = wicket("keys", "list")
    assert ran.code == 3
    assert "is too short" in ran.err
    assert "changeme" not in ran.err


def test_an_unreachable_database_is_told(wicket: Wicket, installed: Path):
    with (installed / "wicket.yaml").open("a") as file:
        file.write("database: postgresql://nobody@127.0.0.1:1/none\n")
    for arguments in (["keys", "list"], ["db", "upgrade"], ["init"], ["audit", "verify"]):
        ran = wicket(*arguments)
        assert ran.code == 5, arguments
        assert ran.err.startswith("error: ")


def test_the_configuration_can_be_named_by_flag_and_by_environment(
    wicket: Wicket, installed: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    (installed / "elsewhere").mkdir()
    monkeypatch.chdir(installed / "elsewhere")
    assert wicket("keys", "list").code == 3
    assert wicket("keys", "list", "--config", "../wicket.yaml").code == 0
    monkeypatch.setenv("WICKET_CONFIG", str(installed / "wicket.yaml"))
    assert wicket("keys", "list").code == 0


def test_a_mistake_of_ours_shows_no_trace_unless_asked(monkeypatch: pytest.MonkeyPatch, wicket: Wicket):
    def broken(_: Situation) -> int:
        raise ZeroDivisionError("secret detail")

    def commands_in(_: object) -> list[Command]:
        return [Command("check", "break", broken)]

    monkeypatch.setattr(cli, "commands_in", commands_in)
    ran = wicket("check")
    assert ran.code == 70
    assert ran.err == "error: this is a mistake of Wicket: run again with `WICKET_DEBUG=1` and report what it says\n"
    monkeypatch.setenv("WICKET_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        wicket("check")


def test_an_interrupt_ends_quietly(monkeypatch: pytest.MonkeyPatch, wicket: Wicket):
    def interrupted(_: Situation) -> int:
        raise KeyboardInterrupt

    def commands_in(_: object) -> list[Command]:
        return [Command("check", "stop", interrupted)]

    monkeypatch.setattr(cli, "commands_in", commands_in)
    ran = wicket("check")
    assert (ran.code, ran.out, ran.err) == (130, "", "")


def test_the_error_inside_groups_is_the_one_that_is_told():
    inner = CommandError(Exit.ABSENT, "gone")
    assert first_of(ExceptionGroup("", [ExceptionGroup("", [inner]), ValueError()])) is inner
    assert first_of(inner) is inner


def test_the_module_is_the_same_command(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-m", "wicket", "check", "--json"], cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == 1
    assert json.loads(done.stdout)["problems"][0]["file"] == "wicket.yaml"
