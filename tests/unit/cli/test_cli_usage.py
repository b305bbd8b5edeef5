"""Wrong usage, no server, faults of ours: one line and an exit status each."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from cli_rig import Answer
from teamhub.cli.main import teamhub
from teamhub.deployment import Deployment

Command = Callable[..., Answer]

COMMANDS = [
    (name,) if not isinstance(command, click.Group) else (name, inner)
    for name, command in teamhub.commands.items()
    for inner in (command.commands if isinstance(command, click.Group) else [""])
    # Neither is about a deployment that there is.
    if name not in {"init", "completion"}
]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["frobnicate"], "no such command 'frobnicate'; see `teamhub --help`"),
        (["users", "ad"], "no such command 'ad'. Did you mean 'add'?; see `teamhub users --help`"),
        (["up", "--prot", "1"], "no such option '--prot'. Did you mean '--port'?"),
        (["up", "--port", "http"], "invalid value for '--port': should be a port from 1 to"),
        (["up", "--port", "99999"], "'--port': should be a port from 1 to 65535, is '99999'"),
        (["users", "add"], "missing argument 'NAME'; see `teamhub users add --help`"),
        (["kernels", "stop"], "missing argument 'ID'"),
        (["tokens", "create"], "missing option '--user'"),
        (["tokens", "create", "--user", "a", "--expires-in", "3x"], "'3x' should be a number and"),
        (["tokens", "create", "--user", "a", "--expires-in", "0d"], "'0d' should be a number and"),
    ],
)
def test_wrong_usage_is_one_line_and_2(command: Command, arguments: list[str], said: str) -> None:
    answer = command(*arguments)
    assert answer.code == 2
    assert answer.out == ""
    assert said in answer.err
    assert answer.err.startswith("teamhub: ")
    assert answer.err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [(), ("users",), ("groups",), ("tokens",), ("kernels",), ("servers",), ("config",)],
)
def test_nothing_to_do_shows_what_there_is(command: Command, arguments: tuple[str, ...]) -> None:
    answer = command(*arguments)
    assert answer.code == 2
    assert "Commands:" in answer.err


@pytest.mark.parametrize("names", COMMANDS, ids=" ".join)
def test_every_command_explains_itself_and_names_a_deployment(
    command: Command, names: tuple[str, ...]
) -> None:
    answer = command(*names, "--help")
    assert answer.code == 0
    for option in ("--data-dir", "--config", "--json"):
        assert option in answer.out


@pytest.mark.parametrize(
    "names", [names for names in COMMANDS if len(names) == 2 and names[1]], ids=" ".join
)
def test_the_help_of_a_command_of_a_group_has_an_example(
    command: Command, names: tuple[str, ...]
) -> None:
    text = " ".join(command(*names, "--help").out.split())
    assert re.search(rf"Examples?: teamhub {' '.join(names)}\b", text), text


@pytest.mark.parametrize(
    "names",
    [
        *((name,) for name in ("init", "up", "down", "status", "doctor", "config")),
        *(("config", name) for name in ("check", "show", "docs", "apply")),
    ],
    ids=" ".join,
)
def test_help_has_an_example(command: Command, names: tuple[str, ...]) -> None:
    assert f"Example: teamhub {names[0]}" in command(*names, "--help").out


def test_help_says_what_exit_statuses_mean(command: Command) -> None:
    text = command("--help").out
    for line in ("0    done", "2    wrong usage", "4    no team server is running", "130  inter"):
        assert line in text


@pytest.mark.parametrize(
    ("shell", "line"),
    [("bash", "complete -o nosort -F"), ("zsh", "#compdef teamhub"), ("fish", "complete --no-f")],
)
def test_completion_scripts(command: Command, shell: str, line: str) -> None:
    answer = command("completion", shell)
    assert answer.code == 0
    assert line in answer.out
    assert "_TEAMHUB_COMPLETE" in answer.out


def test_a_shell_is_told_what_there_is() -> None:
    asked = {
        "_TEAMHUB_COMPLETE": "bash_complete",
        "COMP_WORDS": "teamhub config a",
        "COMP_CWORD": "2",
    }
    done = subprocess.run(
        [sys.executable, "-c", "from teamhub.cli import main; main()"],
        env={**os.environ, **asked},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "plain,apply\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("config", "apply"),
        ("users", "list"),
        ("users", "add", "ada"),
        ("users", "reset", "ada"),
        ("users", "approve", "ada"),
        ("users", "remove", "ada", "--yes"),
        ("users", "import", "-"),
        ("groups", "list"),
        ("groups", "add", "staff", "ada"),
        ("tokens", "create", "--user", "ada"),
        ("tokens", "list"),
        ("tokens", "revoke", "a1"),
        ("kernels", "list"),
        ("kernels", "show", "a"),
        ("kernels", "logs", "a", "-f"),
        ("kernels", "stop", "a"),
        ("servers", "list"),
        ("servers", "start", "ada"),
        ("servers", "stop", "ada"),
    ],
    ids=" ".join,
)
def test_where_nothing_was_ever_started(
    command: Command, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    answer = command(*arguments, "--data-dir", str(tmp_path / "none"))
    assert answer.code == 4
    assert answer.err == (
        f"teamhub: there is no team server in {tmp_path / 'none'}; start one with "
        f"`teamhub up --data-dir {tmp_path / 'none'}`\n"
    )
    assert not (tmp_path / "none").exists()


def test_a_start_that_never_came_to_its_database_counts_as_none(
    command: Command, deployment: Deployment
) -> None:
    (deployment.data_dir / "teamhub.sqlite").unlink()
    answer = command("users", "list", "--data-dir", str(deployment.data_dir))
    assert answer.code == 4
    assert "has never come up" in answer.err
    assert not (deployment.data_dir / "teamhub.sqlite").exists()


def test_status_and_down_where_nothing_runs(on: Command, deployment: Deployment) -> None:
    status = on("status", "--json")
    assert (status.code, status.json) == (4, {"running": False, "ready": False})
    assert "no team server is running on" in status.err
    down = on("down")
    assert (down.code, down.out) == (0, "")
    assert down.err == f"teamhub: no team server is running on {deployment.data_dir}\n"
    assert on("down", "--json").json["was_running"] is False


def test_a_wrong_setting_is_its_line_and_2(command: Command, tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text("[proxy]\nport = 'x'\n")
    for name in ("up", "status", "down"):
        answer = command(name, "--config", str(tmp_path / "t.toml"))
        assert answer.code == 2
        assert answer.err.startswith(f"teamhub: {tmp_path / 't.toml'}: proxy.port: ")
        assert answer.err.count("\n") == 1


def test_the_config_names_the_deployment_too(command: Command, deployment: Deployment) -> None:
    path = deployment.data_dir / "teamhub.toml"
    path.write_text("")
    assert command("users", "list", "--json", "--config", str(path)).json == []


def test_a_fault_of_ours_is_a_line_and_a_log(
    on: Command, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("secret-value")

    monkeypatch.setattr("teamhub.cli.choice.Store.of", broken)
    answer = on("users", "list")
    log = deployment.log_file("cli")
    assert answer.code == 1
    assert answer.err.count("\n") == 1
    assert "an unexpected problem (ZeroDivisionError)" in answer.err
    assert str(log) in answer.err
    assert "Traceback" in log.read_text()
    assert log.stat().st_mode & 0o077 == 0


def test_a_database_of_another_version(on: Command, deployment: Deployment) -> None:
    (deployment.data_dir / "teamhub.sqlite").write_bytes(b"")
    answer = on("users", "list")
    assert answer.code == 1
    assert "`teamhub up` upgrades an older one" in answer.err


@pytest.mark.parametrize("text", ["", "{", '{"no": "such setting"}'])
def test_settings_in_force_that_cannot_be_understood(
    on: Command, deployment: Deployment, text: str
) -> None:
    deployment.settings_file.write_text(text)
    answer = on("status")
    assert answer.code == 1
    assert answer.err.count("\n") == 1
    assert f"{deployment.settings_file}: cannot be understood" in answer.err
