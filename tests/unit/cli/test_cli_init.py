"""`teamhub init`: what is asked, what is written, and what is refused."""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli_rig import Answer, on_a_terminal
from teamhub.config import CONFIG_NAME, Config, load

Command = Callable[..., Answer]


def written(directory: Path) -> dict[str, Any]:
    return tomllib.loads((directory / CONFIG_NAME).read_text())


def set_in(directory: Path) -> dict[str, Any]:
    """What is set, without the tables in which nothing is."""

    def filled(table: dict[str, Any]) -> dict[str, Any]:
        inner = {k: filled(v) if isinstance(v, dict) else v for k, v in table.items()}
        return {k: v for k, v in inner.items() if v != {}}

    return filled(written(directory))


def test_without_flags_in_a_pipe_nothing_is_asked_and_nothing_set(
    command: Command, tmp_path: Path
) -> None:
    answer = command("init", str(tmp_path / "new"))
    assert answer.code == 0, answer.err
    path = tmp_path / "new" / CONFIG_NAME
    assert answer.out.splitlines()[0] == f"written: {path}"
    following = answer.out.splitlines()[1]
    assert following.startswith("next:    ")
    assert following.endswith(f" up --data-dir {tmp_path / 'new'}")
    assert set_in(tmp_path / "new") == {}
    assert load(path) == Config(data_dir=tmp_path / "new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    expected = 0o711 if os.geteuid() == 0 else 0o700
    assert stat.S_IMODE(path.parent.stat().st_mode) == expected
    # Everything is explained, the defaults commented out.
    assert "# port = 8000" in path.read_text()


def test_flags_are_set_and_nothing_else(command: Command, tmp_path: Path) -> None:
    flags = ["--port", "8123", "--admin", "ada", "--sign-up", "closed", "--memory", "4 GiB"]
    others = ["--set", "kernels.per_user=7", "--set", "logs.level=debug"]
    assert command("init", str(tmp_path), *flags, *others, "--yes").code == 0
    assert set_in(tmp_path) == {
        "proxy": {"port": 8123},
        "hub": {"admin": "ada"},
        "accounts": {"sign_up": "closed"},
        "logs": {"level": "debug"},
        "kernels": {"per_user": 7},
        "sizes": {"standard": {"memory": "4 GiB"}},
    }


def test_entries_that_are_set_are_added_to_those_there_are(
    command: Command, tmp_path: Path
) -> None:
    others = ["sizes.big.memory=8GiB", "sizes.big.cpus=4", "environments.py.3.13.prefix=/opt/py"]
    flags = [flag for other in others for flag in ("--set", other)]
    answer = command("init", str(tmp_path), *flags, "--yes")
    assert answer.code == 0, answer.err
    config = load(tmp_path / CONFIG_NAME)
    assert list(config.sizes) == ["standard", "big"]
    assert (config.sizes["big"].memory, config.sizes["big"].cpus) == (8 * 1024**3, 4)
    assert list(config.environments) == ["python3", "py.3.13"]
    assert config.environments["python3"] == Config().environments["python3"]


def test_a_default_that_is_given_stays_a_default(command: Command, tmp_path: Path) -> None:
    assert command("init", str(tmp_path), "--port", "8000", "--yes").code == 0
    assert set_in(tmp_path) == {}


def test_a_file_that_is_there_stays_as_it_is_but_for_force(
    command: Command, tmp_path: Path
) -> None:
    path = tmp_path / CONFIG_NAME
    path.write_text("# mine\n")
    refused = command("init", str(tmp_path), "--port", "8123")
    assert refused.code == 1
    assert f"{path} is there already; nothing was changed" in refused.err
    assert path.read_text() == "# mine\n"
    forced = command("init", str(tmp_path), "--port", "8123", "--force", "--json")
    assert forced.code == 0
    assert forced.json["kept"] == f"{path}.bak"
    assert Path(f"{path}.bak").read_text() == "# mine\n"
    assert load(path).proxy.port == 8123


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--port", "70000"], "invalid value for '--port': should be a port from 1 to 65535"),
        (["--admin", "Ümit"], "hub.admin: 'Ümit' cannot be a user name"),
        (["--minimum-password-length", "4"], "should be a whole number from 8 to 128, is 4"),
        (
            ["--memory", "lots"],
            'teamhub: sizes.standard.memory: should be a number of bytes such as "512',
        ),
        (["--set", "sizes.big.memory=lots"], "is 'lots'; nothing was written\n"),
        (["--set", "sizes.Big Size.cpus=1"], "sizes: the name 'Big Size' should"),
        (["--set", "proxy.prot=1"], "no such setting; did you mean 'proxy.port'?"),
        (["--set", "sizes.big.memry=1"], "no such setting; did you mean 'sizes.big.memory'?"),
        (["--set", "proxy.port"], "'--set': should be the path of a setting, = and its value"),
        (["--set", "sizes.NAME.cpus=1"], "sizes.NAME.cpus: there is no such setting"),
        (["--sign-up", "maybe"], "'maybe' is not one of 'approval', 'closed'"),
    ],
)
def test_a_wrong_flag_is_one_line_and_writes_nothing(
    command: Command, tmp_path: Path, flags: list[str], said: str
) -> None:
    answer = command("init", str(tmp_path / "new"), *flags)
    assert answer.code == 2
    assert said in answer.err
    assert answer.err.count("\n") == 1
    assert not (tmp_path / "new").exists()


def test_a_directory_that_cannot_be_made(command: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    answer = command("init", str(tmp_path / "file" / "data"))
    assert answer.code == 2
    assert "choose another with --data-dir" in answer.err


def test_on_a_terminal_it_asks_and_asks_again(tmp_path: Path) -> None:
    data_dir = tmp_path / "asked"
    answers = [("directory", f"{data_dir}\n99999\nhttp\n8124\nmoon\n\nRoot Beer\ngrace\nso\nno\n")]
    code, shown = on_a_terminal(answers, "init")
    assert code == 0, shown
    assert shown.count("The port that people open") == 3
    assert shown.count("that should be a port from 1 to 65535") == 2
    assert 'that should be "this machine", "network", or an address' in shown
    assert "'Root Beer' cannot be a user name" in shown
    assert 'that should be "yes" or "no"' in shown
    assert set_in(data_dir) == {
        "proxy": {"port": 8124},
        "hub": {"admin": "grace"},
        "accounts": {"sign_up": "closed"},
    }


def test_on_a_terminal_with_yes_it_asks_nothing(tmp_path: Path) -> None:
    code, shown = on_a_terminal([], "init", str(tmp_path / "new"), "--yes")
    assert code == 0, shown
    assert "The port" not in shown
    assert set_in(tmp_path / "new") == {}


def test_leaving_at_a_question_writes_nothing(tmp_path: Path) -> None:
    """By the end of input: a Ctrl-C at the very start of a prompt can be lost in readline."""
    answers = [("open", "8124\n"), ("reaches it", "\x04")]
    code, shown = on_a_terminal(answers, "init", str(tmp_path / "new"))
    assert code == 130, shown
    assert not (tmp_path / "new").exists()
