"""`teamhub config`: checked, shown, explained; applying is in tests/faults/test_config_apply.py."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import pytest
from cli_rig import Answer
from teamhub.config import Config
from teamhub.config.documentation import example_toml, settings
from teamhub.deployment import Deployment, write_private
from teamhub.supervisor import apply
from teamhub.supervisor.origin import Origin

Command = Callable[..., Answer]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "t.toml"


def test_a_right_file_is_valid_with_warnings(command: Command, file: Path) -> None:
    file.write_text(
        '[proxy]\ncommand = ["no-such-proxy"]\n[sizes.huge]\nmemory = "900 TiB"\ncpus = 9000\n'
        '[kernels]\ndefault = "julia"\n[environments.python3]\ndisplay_name = "P"\n'
        'prefix = "/no/such/prefix"\nresource_dir = "/no/logos"\n'
    )
    answer = command("config", "check", str(file))
    assert answer.code == 0
    assert answer.out == "the settings are valid\n"
    for path in (
        "proxy.command: 'no-such-proxy' is not in PATH",
        "sizes.huge.memory: is 900 TiB, and this machine has",
        "sizes.huge.cpus: is 9000, and this machine has",
        "kernels.default: no environment makes the kernelspec 'julia'; there are: python3",
        "environments.python3.prefix: there is no program /no/such/prefix/bin/python",
        "environments.python3.resource_dir: there is no folder /no/logos",
    ):
        assert f"teamhub: warning: {path}" in answer.err
    as_json = command("config", "check", str(file), "--json").json
    assert (as_json["valid"], as_json["running"]) == (True, False)
    assert len(as_json["warnings"]) >= 6


def test_an_interpreter_without_ipykernel_is_told(
    command: Command, file: Path, tmp_path: Path
) -> None:
    python = tmp_path / "bin/python"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -S -I "$@"\n')
    python.chmod(0o755)
    kept = '[environments.python3]\nargv = ["true"]\n'
    file.write_text(f'{kept}[environments.bare]\nprefix = "{tmp_path}"\n')
    answer = command("config", "check", str(file))
    assert answer.code == 0
    assert (
        f"teamhub: warning: environments.bare: {python} cannot import ipykernel: none of its "
        f"kernels starts; `{python} -m pip install ipykernel`\n"
    ) in answer.err
    python.write_text("#!/bin/sh\nexit 0\n")
    assert "ipykernel" not in command("config", "check", str(file)).err


def test_a_file_that_loses_the_usual_environment_is_told_how_to_keep_it(
    command: Command, file: Path
) -> None:
    said = (
        "kernels.default: no environment makes the kernelspec 'python3'; there are: r; "
        "keep it with [environments.python3]\n"
    )
    file.write_text('[environments.r]\nargv = ["true"]\n')
    assert said in command("config", "check", str(file)).err
    file.write_text('[environments.r]\nargv = ["true"]\n[kernels]\ndefault = "r"\n')
    assert "kernels.default" not in command("config", "check", str(file)).err


def test_each_fault_is_a_line_of_its_own(command: Command, file: Path) -> None:
    file.write_text("[proxy]\nprot = 1\nport = 0\n[kernels]\nper_user = 'x'\n")
    answer = command("config", "check", str(file))
    assert answer.code == 2
    assert answer.out == ""
    lines = answer.err.splitlines()
    assert len(lines) == 3
    assert all(line.startswith(f"teamhub: {file}: ") for line in lines)
    assert "did you mean 'port'?" in answer.err
    assert len(command("config", "check", str(file), "--json").json["faults"]) == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[hub]\nadmin = "Two Words"\n', "hub.admin: 'Two Words' cannot be a user name"),
        (
            '[proxy]\nhost = "0.0.0.0"\n[engine.process]\nuid_per_member = "no"\n',
            "proxy.host: is '0.0.0.0', but engine process is no border between members here",
        ),
        ("[proxy]\ncommand = []\n", "proxy.command: a command is needed, is empty"),
    ],
)
def test_what_up_would_refuse_is_a_fault(
    command: Command, file: Path, text: str, said: str
) -> None:
    file.write_text(text)
    answer = command("config", "check", str(file))
    assert (answer.code, answer.out) == (2, "")
    assert said in answer.err


def test_a_file_is_named_once(command: Command, file: Path) -> None:
    answer = command("config", "check", str(file), "--config", str(file))
    assert answer.code == 2
    assert "give the file once" in answer.err


def test_shown_settings_are_a_file_that_means_the_same(command: Command, file: Path) -> None:
    file.write_text(
        '[sizes.big]\nmemory = "8 GiB"\n[environments."x.y"]\ndisplay_name = "P"\n'
        '[environments."x.y".env]\nA = "b"\n'
    )
    shown = command("config", "show", "--config", str(file))
    assert shown.code == 0
    again = Config.model_validate(tomllib.loads(shown.out))
    assert again.sizes["big"].memory == 8 * 1024**3
    assert again.proxy == Config().proxy
    changed = command("config", "show", "--changed", "--config", str(file)).out
    assert "8 GiB" in changed
    assert "port" not in changed


def test_no_secret_is_shown(command: Command, file: Path) -> None:
    file.write_text(
        '[hub]\ndatabase_url = "postgresql://me:S3CRET@db/hub"\n'
        '[store]\nurl = "sqlite:////S/x"\n'
        '[hub.extra.GitHubOAuthenticator]\nclient_id = "shown"\nclient_secret = "S3CRET"\n'
        '[environments.python3]\ndisplay_name = "P"\nenv = { API_TOKEN = "S3CRET" }\n'
    )
    for more in ((), ("--json",), ("--changed",)):
        answer = command("config", "show", "--config", str(file), *more)
        assert answer.code == 0
        assert "S3CRET" not in answer.out
        assert "postgresql://me:***@db/hub" in answer.out
        assert "shown" in answer.out


def test_a_part_is_shown_and_a_wrong_path_is_told(command: Command, file: Path) -> None:
    file.write_text("[proxy]\nport = 8123\n")
    on = ("--config", str(file))
    assert command("config", "show", "proxy.port", *on).out == "[proxy]\nport = 8123\n"
    assert command("config", "show", "proxy.port", "--json", *on).json == 8123
    wrong = command("config", "show", "proxy.prot", *on)
    assert wrong.code == 2
    assert "did you mean 'proxy.port'?" in wrong.err
    missing = command("config", "show", "sizes.big", *on)
    assert missing.code == 1
    assert "sizes.big: this is not set" in missing.err


def test_docs_know_every_setting(command: Command) -> None:
    text = command("config", "docs").out
    markdown = command("config", "docs", "--markdown").out
    for one in settings():
        assert one.path in text
        assert f"### `{one.name}`" in markdown
    assert command("config", "docs", "--toml").out == example_toml()
    assert {one["path"] for one in command("config", "docs", "--json").json} == {
        one.path for one in settings()
    }


def test_docs_of_one(command: Command) -> None:
    text = command("config", "docs", "sizes.big.memory").out
    assert text.startswith("sizes.NAME.memory\n")
    assert "4 GiB" in text
    assert "restarts the gateway and the hub" in text
    assert "after a restart of everything" in command("config", "docs", "proxy.port").out
    assert command("config", "docs", "nothing.here").code == 2
    assert command("config", "docs", "proxy", "--toml").code == 2


def test_apply_where_nothing_runs(on: Command, deployment: Deployment) -> None:
    answer = on("config", "apply")
    assert answer.code == 4
    assert answer.err == (
        f"teamhub: no team server is running on {deployment.data_dir}; "
        "`teamhub up` reads the settings when it starts\n"
    )


@pytest.mark.usefixtures("running")
def test_a_port_that_the_command_line_overrides_is_told(
    on: Command, deployment: Deployment
) -> None:
    origin = Origin(overrides={"data_dir": str(deployment.data_dir), "proxy.port": 8102})
    origin.note(deployment)
    write_private(deployment.settings_file, origin.load().model_dump_json())
    said = "proxy.port: the team server was started with --port 8102, which overrides the"
    assert on("config", "check").out.endswith(
        "nothing has changed since the team server read its settings\n"
    )
    assert on("config", "show", "proxy.port").out == (
        f"[proxy]\nport = 8000\n# {said} default 8000\n"
    )
    (deployment.data_dir / "teamhub.toml").write_text("[proxy]\nport = 8103\n")
    assert f"{said} file's 8103\n" in on("config", "check").out
    assert on("config", "check", "--json").json["overridden"] == [
        {"path": "proxy.port", "option": "--port 8102", "by_file": 8103, "is_set": True}
    ]
    assert f"port = 8103\n# {said} file's 8103\n" in on("config", "show", "proxy.port").out
    with patch.object(apply, "ask", return_value=apply.Answer(state="done")):
        assert f"{said} file's 8103\n" in on("config", "apply").err
