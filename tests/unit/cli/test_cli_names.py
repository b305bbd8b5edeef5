"""Names that nobody can have, at every entrance of the command line that takes text.

The commands are found, not listed: one that comes later is tried as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import click
import pytest
from cli_rig import Answer
from teamhub.cli.main import teamhub
from teamhub.deployment import Deployment

Command = Callable[..., Answer]

BAD = {
    "dots": "../../etc/passwd",
    "slash": "a/b",
    "absolute": "/etc/passwd",
    "nul": "a\0b",
    "lines": "ada\nbob",
    "escape": "\x1b[31mada",
    "bell": "\aada",
    "bidi": "ada\u202egpj",
    "cyrillic": "аdа",  # noqa: RUF001  the first and last letter look like ours
    "full-width": "ａｄａ",  # noqa: RUF001
    "kelvin": "\u212aarl",
    "hidden": "a\u200bda",
    "emoji": "ada🦆",
    "surrogate": "ada\udcff",
    "long": "a" * 100_000,
    "empty": "",
    "blank": " \t ",
    "option": "--no-such-option",
    "sql": "ada' OR '1'='1",
}

WORDS = {"name", "user", "group", "member", "owner", "names", "users"}
"""Parameters that take the name of somebody or something; refusing a bad one is a must."""


def entrances() -> Iterator[tuple[tuple[str, ...], click.Command, click.Parameter]]:
    """Every command with each of its parameters that takes text."""

    def below(
        path: tuple[str, ...], command: click.Command
    ) -> Iterator[tuple[tuple[str, ...], click.Command, click.Parameter]]:
        if isinstance(command, click.Group):
            for name, inner in command.commands.items():
                yield from below((*path, name), inner)
            return
        for parameter in command.params:
            if parameter.type is click.STRING:
                yield path, command, parameter

    yield from below((), teamhub)


ENTRANCES = list(entrances())


def arguments(command: click.Command, tried: click.Parameter, value: str) -> list[str]:
    """A call of a command with this value, and something for all else that it needs."""
    options: list[str] = []
    positional: list[str] = []
    for parameter in command.params:
        text = value if parameter is tried else "x"
        if parameter is not tried and not parameter.required:
            continue
        if isinstance(parameter, click.Argument):
            positional.append(text)
        else:
            options += [f"{parameter.opts[0]}={text}"]
    return [*options, "--", *positional] if positional else options


@pytest.fixture
def entry(command: Command) -> Command:
    """Runs `teamhub` with these arguments."""
    return command


def rows(deployment: Deployment) -> bytes:
    return (deployment.data_dir / "teamhub.sqlite").read_bytes()


def test_there_are_entrances() -> None:
    assert {" ".join(path) for path, _, _ in ENTRANCES} >= {
        *("users add", "users reset", "tokens create", "kernels list", "kernels stop"),
    }


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize(
    ("path", "tried", "parameter"),
    ENTRANCES,
    ids=[f"{' '.join(path)} {parameter.name}" for path, _, parameter in ENTRANCES],
)
def test_a_name_that_nobody_can_have(  # noqa: PLR0917  pytest gives them by name
    entry: Command,
    deployment: Deployment,
    path: tuple[str, ...],
    tried: click.Command,
    parameter: click.Parameter,
    bad: str,
) -> None:
    before = rows(deployment)
    homes = list((deployment.data_dir / "homes").iterdir())
    given = arguments(tried, parameter, BAD[bad])
    split = given.index("--") if "--" in given else len(given)
    where = ("--data-dir", str(deployment.data_dir))
    answer = entry(*path, *given[:split], *where, *given[split:])
    assert "Traceback" not in answer.out + answer.err
    assert "unexpected problem" not in answer.err
    if answer.code != 0:
        assert answer.out == ""
        assert answer.err.count("\n") == 1
        assert answer.err.startswith("teamhub: ")
        assert answer.err.rstrip("\n").isprintable(), ascii(answer.err)
        assert len(answer.err) < 1000
    if parameter.name in WORDS:
        # 4: a name is looked for among those that the hub knows, and here is no hub.
        assert answer.code in {1, 2, 4}, answer
    assert rows(deployment) == before
    assert list((deployment.data_dir / "homes").iterdir()) == homes
