"""The reference has everything that there is: it is made from the code, and nothing is left out."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
import pytest
from documented import DOCS, ROOT
from reference import errors, rest, scratch
from reference.pages import GENERATED, MARK, filled_in
from teamhub.cli.main import teamhub
from teamhub.config.documentation import Setting, settings, tables
from teamhub.errors import TeamhubError
from teamhub.hub.assemble import assemble
from teamhub.hub.failures import _WORDS
from teamhub.reasons import Reason
from teamhub.supervisor.programs import GATEWAY, HUB, PROXY

_read: dict[str, str] = {}


def reference(name: str) -> str:
    """A page of the reference as Sphinx reads it."""
    if name not in _read:
        _read[name] = filled_in((DOCS / "reference" / f"{name}.md").read_text())
    return _read[name]


def section(page: str, heading: str) -> str:
    """What is below a heading, to the next one."""
    lines = reference(page).splitlines()
    starts = [number for number, line in enumerate(lines) if line.lstrip("#").strip() == heading]
    assert len(starts) == 1, f"{heading} is {len(starts)} times in {page}"
    rest_of_page = lines[starts[0] + 1 :]
    end = next((n for n, line in enumerate(rest_of_page) if line.startswith("#")), None)
    return "\n".join(rest_of_page[:end])


@pytest.mark.parametrize("one", settings(), ids=lambda one: one.path)
def test_every_setting_with_what_is_known_of_it(one: Setting) -> None:
    written = section("settings", f"`{one.path}`")
    assert len(written.split("\n\n")[0]) > 10
    for about in ("Expected", "Default", "A change restarts"):
        _, found, after = written.partition(f"\n- {about}: ")
        assert found, about
        assert after.partition("\n")[0].strip(), about


def test_every_table_of_settings() -> None:
    for path in tables():
        assert section("settings", f"`[{path}]`").strip()


def commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name, each in command.commands.items():
            yield from commands(each, f"{path} {name}")


@pytest.mark.parametrize(
    ("path", "command"),
    [(path, one) for path, one in commands(teamhub, "teamhub") if path != "teamhub"],
)
def test_every_command_with_all_its_options(path: str, command: click.Command) -> None:
    if command.hidden:
        assert f"`{path}`" not in reference("command-line")
        return
    written = section("command-line", f"`{path}`")
    first_word = (command.help or "").split()[0]
    assert first_word in written, "it says nothing of itself"
    if isinstance(command, click.Group):
        return
    common = section("command-line", "Options of every command")
    for param in command.params:
        names = [*param.opts, *param.secondary_opts]
        if isinstance(param, click.Argument):
            metavar = param.make_metavar(click.Context(command))
            assert metavar in written, path
        elif not getattr(param, "hidden", False):
            assert getattr(param, "help", ""), f"{path} {names}: has no help"
            for name in names:
                assert name in written or name in common, f"{path} {name}"


def test_every_kind_of_error_with_its_remedy_and_exit_status() -> None:
    kinds = errors.kinds()
    assert TeamhubError in kinds
    assert len(kinds) >= 13
    for kind in kinds:
        written = section("errors", f"`{kind.__name__}`")
        assert f"\n- Exit status of a command: {kind.exit_code}\n" in written
        assert "\n- What to do: " in written
        assert "remedy" in vars(kind), f"{kind.__name__} inherits one that says too little"
        assert f"| {kind.exit_code} |" in reference("errors")


def test_every_reason_with_its_remedy() -> None:
    for reason in Reason:
        written = section("errors", f"`{reason.value}`")
        assert errors.meaning(reason).split()[0] in written
        assert "\n- What to do: " in written
        assert f"\n- An administrator: {reason.remedy.administrator[:8]}" in written
        assert f"\n- On the page of a notebook server: {_WORDS[reason]}" in written


@pytest.mark.parametrize(
    "said",
    [
        "there is no kernelspec …; there are: …",  # an f-string of the gateway's
        "This page has expired. Sign in again. (403 Forbidden)",  # a page's
        "should be at least 1 MiB",  # a setting's
        "should be a number and s, m, h, d or w",  # the command line's
        "proxy.command: … is not in PATH; install it with",  # of several lines
        "then run ./dev again",
    ],
)
def test_messages_are_there_word_for_word(said: str) -> None:
    assert said in reference("messages").replace("\\_", "_")


def test_hardly_a_message_is_overlooked() -> None:
    """Counted without looking at syntax: how often the code makes an error with words in it."""
    made = sum(
        path.read_text().count(f"raise {kind.__name__}(\n")
        + path.read_text().count(f'raise {kind.__name__}("')
        + path.read_text().count(f'raise {kind.__name__}(f"')
        for path in (ROOT / "packages/teamhub/src/teamhub").rglob("*.py")
        for kind in errors.kinds()
    )
    assert len(errors.messages()) >= made > 100


def test_every_process_and_what_it_may_do() -> None:
    page = reference("processes")
    for process in (PROXY, HUB, GATEWAY):
        assert f"\n| `{process}` |" in page
    architecture = (ROOT / "ARCHITECTURE.md").read_text()
    parts = architecture.partition("## The parts")[2].partition("## The words")[0]
    for process in ("proxy", "hub", "gateway", "dispatcher", "notebook server", "shim"):
        assert f"\n| {process} |" in parts
    with scratch.deployment() as deployment:
        roles = assemble(deployment)["JupyterHub"]["load_roles"]
    assert len(roles) >= 4
    for role in roles:
        (line,) = [line for line in page.splitlines() if line.startswith(f"| `{role['name']}` |")]
        assert all(f"`{scope}`" in line for scope in role["scopes"])


def test_every_operation_of_the_kernel_api() -> None:
    spec = rest.description()
    found = list(rest.operations(spec))
    assert len(found) > 20
    for method, path, operation in found:
        written = section("rest-api", f"`{method} {path}`")
        for status in operation["responses"]:
            assert re.search(rf"^\| ([\d, ]+, )?{status}[ ,]", written, re.MULTILINE), (
                method,
                path,
            )
    for name in spec["components"]["schemas"]:
        assert section("rest-api", f"`{name}`")


def test_every_decision_is_listed() -> None:
    page = filled_in((DOCS / "decisions/index.md").read_text())
    records = [path.name for path in (DOCS / "decisions").glob("0*.md")]
    assert len(records) >= 6
    for name in records:
        assert f"]({name})" in page


def test_pages_ask_for_all_that_is_made_and_for_nothing_else() -> None:
    asked = [name for page in DOCS.rglob("*.md") for name in MARK.findall(page.read_text())]
    assert sorted(asked) == sorted(GENERATED)
    with pytest.raises(KeyError):
        filled_in("<!-- generated: nothing -->")
