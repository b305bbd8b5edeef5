"""What the pages show can be done: code compiles, commands exist, settings are valid."""

from __future__ import annotations

import ast
import re
import shlex
import tomllib
from collections.abc import Iterator, Sequence

import click
import pytest
from documented import DOCS, ROOT, Block, blocks, named, pages
from reference import commands, errors
from teamhub.cli.main import teamhub
from teamhub.config import Config
from teamhub.reasons import REMEDIES

_INLINE = re.compile(r"(?<!`)`((?:teamhub|\./dev)(?: [^`\n]*)?)`(?!`)")
_SHELLS = ("sh", "ini")

_UNIT = re.compile(r"^Exec\w+=")


@pytest.mark.parametrize("block", blocks("python"), ids=lambda block: named(block.page))
def test_python_compiles(block: Block) -> None:
    ast.parse(block.text, str(block.page))


@pytest.mark.parametrize("block", blocks("toml"), ids=lambda block: named(block.page))
def test_settings_are_valid(block: Block) -> None:
    Config.model_validate(tomllib.loads(block.text))


def shell_lines() -> Iterator[tuple[str, list[str]]]:
    """Every line of a shell, and of a unit of systemd, that begins with one of our commands."""
    for language in _SHELLS:
        for block in blocks(language):
            for line in block.text.replace("\\\n", " ").splitlines():
                words = shlex.split(_UNIT.sub("", line), comments=True)
                if not words:
                    continue
                if words[0].rpartition("/")[2] == "teamhub" or words[0] == "./dev":
                    yield named(block.page), words


def examples() -> Iterator[tuple[str, list[str]]]:
    """Every example that a command's own help gives."""
    for context in commands.walk():
        for found in re.findall(
            r"Examples?: (.*?)(?:\n\n|$)", context.command.help or "", re.DOTALL
        ):
            for line in re.split(r"; |, then ", " ".join(found.split())):
                yield context.command_path, shlex.split(line)


LINES = [*shell_lines(), *examples()]


def test_there_are_lines_to_look_at() -> None:
    assert len(LINES) > 20


@pytest.mark.parametrize(("page", "words"), LINES, ids=lambda each: str(each)[:60])
def test_a_documented_line_is_one_that_is_understood(page: str, words: list[str]) -> None:
    if words[0] == "./dev":
        check_dev(words[1:])
        return
    command, rest, path = find(words[1:])
    with click.Context(teamhub, info_name="teamhub") as context:
        # Raises a UsageError for an option or an argument that there is not, or too few.
        command.make_context(path, rest, parent=context)


def mentioned() -> Iterator[tuple[str, str]]:
    """Every command that a sentence names: of pages, remedies and messages."""
    for page in pages():
        for found in _INLINE.findall(page.read_text()):
            yield named(page), found
    texts = {
        **{f"the remedy of {reason}": one.member for reason, one in REMEDIES.items()},
        **{f"{reason}, for administrators": one.administrator for reason, one in REMEDIES.items()},
        **{f"the remedy of {kind.__name__}": kind.remedy for kind in errors.kinds()},
        **{f"a message of {one.module}": one.text for one in errors.messages()},
    }
    for where, text in texts.items():
        for found in _INLINE.findall(text):
            yield where, found


@pytest.mark.parametrize(("where", "said"), sorted(set(mentioned())))
def test_a_command_that_is_mentioned_exists_with_its_options(where: str, said: str) -> None:
    words = said.split()
    if words == ["teamhub"] or words[:2] == ["teamhub", "COMMAND"] or words == ["./dev"]:
        return
    if words[0] == "./dev":
        check_dev(words[1:])
        return
    command, rest, path = find(words[1:])
    known = {name for param in command.params for name in param.opts} | {"--help", "-h"}
    for word in rest:
        if re.match(r"--?[a-z]", word) and word not in known:
            not_there(f"{path} {word}")


def find(words: Sequence[str]) -> tuple[click.Command, list[str], str]:
    """Return the command that words name, what is left of them, and its path."""
    command: click.Command = teamhub
    left, path = list(words), "teamhub"
    while isinstance(command, click.Group) and left and not left[0].startswith("-"):
        if left[0] not in command.commands:
            not_there(f"{path} {left[0]}")
        command = command.commands[left[0]]
        path = f"{path} {left.pop(0)}"
    return command, left, path


def not_there(what: str) -> None:
    """Fail: what is documented is missing."""
    pytest.fail(f"there is no `{what}`")


def check_dev(words: Sequence[str]) -> None:
    """Fail where `./dev` does not take this."""
    script = (ROOT / "dev").read_text()
    cases = script.rpartition("case $command in")[2]
    assert re.search(rf"^    (\S+ \| )*{re.escape(words[0])}( \| \S+)*\) ", cases, re.MULTILINE)
    options = [word for word in words[1:] if word.startswith("--")]
    if words[0] == "up":
        up = {name for param in teamhub.commands["up"].params for name in param.opts}
        assert set(options) <= up
    else:
        assert all(option in script for option in options)


# Pictures

_PICTURE = re.compile(r"!\[([^\]]*)\]\(([^)\s]*pictures/[^)\s]+)\)")


def pictures() -> set[str]:
    """The pictures that pages show, by file name."""
    return {
        (page.parent / target).resolve().name
        for page in pages()
        for _, target in _PICTURE.findall(page.read_text())
    }


def taken_by_tests() -> Sequence[re.Pattern[str]]:
    """The names under which tests keep pictures: what an f-string fills in may be anything."""
    found = []
    for path in (ROOT / "tests").rglob("test_*.py"):
        found += _names(ast.parse(path.read_text()))
    for path in (ROOT / "tests/e2e").glob("*.py"):
        found += _names(ast.parse(path.read_text()))
    return found


def _names(tree: ast.AST) -> Iterator[re.Pattern[str]]:
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and len(node.args) >= 2):
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if "picture" not in name:
            continue
        if isinstance(node.args[1], ast.Constant):
            yield re.compile(re.escape(node.args[1].value) + "(-phone)?")
        elif isinstance(node.args[1], ast.JoinedStr):
            parts = [
                re.escape(each.value) if isinstance(each, ast.Constant) else r"[\w-]+"
                for each in node.args[1].values
            ]
            yield re.compile("".join(parts) + "(-phone)?")


def test_every_picture_of_a_page_is_there_described_and_made_by_a_test() -> None:
    shown = pictures()
    assert len(shown) >= 8
    names = taken_by_tests()
    for page in pages():
        for description, target in _PICTURE.findall(page.read_text()):
            path = (page.parent / target).resolve()
            assert path.exists(), f"{named(page)}: {target}; ./dev docs --pictures takes it"
            assert len(description) > 15, f"{named(page)}: {target} is not described"
            if path.suffix == ".png":
                assert any(name.fullmatch(path.stem) for name in names), f"{target}: no test"


def test_pictures_are_small_and_shown() -> None:
    kept = list((DOCS / "pictures").iterdir())
    assert {path.name for path in kept} == pictures()
    assert sum(path.stat().st_size for path in kept) < 2 * 1024**2
