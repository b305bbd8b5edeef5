"""Every command of `teamhub`, walked from click's own tree."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click
from teamhub.cli.main import teamhub

from reference.markdown import block, code, definitions, heading, plain

COMMON = ("data_dir", "config_file", "as_json")
"""The options that all commands have, shown once."""

_EXAMPLE = "Example: "


def page() -> str:
    """Return all commands in the order in which `--help` lists them."""
    parts = [heading("Options of every command", 2, "common-options"), _common()]
    parts += [_command(context) for context in walk() if context.command is not teamhub]
    return "\n".join(parts)


def walk() -> Iterator[click.Context]:
    """Yield each command that is not hidden with its context, groups before what is in them."""
    yield from _walk(teamhub, "teamhub", None)


def target(path: str) -> str:
    """Return the name by which pages link to a command."""
    return "command-" + path.removeprefix("teamhub ").replace(" ", "-")


def _walk(command: click.Command, name: str, parent: click.Context | None) -> Iterator:
    context = click.Context(command, info_name=name, parent=parent)
    yield context
    if isinstance(command, click.Group):
        for each in command.list_commands(context):
            inner = command.get_command(context, each)
            if inner is not None and not inner.hidden:
                yield from _walk(inner, each, context)


def _common() -> str:
    for context in walk():
        by_name = {param.name: param for param in context.command.params}
        if set(COMMON) <= set(by_name):
            pairs = [_option(by_name[name], context) for name in COMMON]
            return definitions([*pairs, (code("-h, --help"), "Show what the command takes.")])
    raise LookupError("no command has the options that all have")


def _command(context: click.Context) -> str:
    command, path = context.command, context.command_path
    group = isinstance(command, click.Group)
    depth = 2 if context.parent is None or context.parent.command is teamhub else 3
    parts = [heading(code(path), depth, target(path)), _help(command)]
    if group:
        return "\n".join(parts)
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    parts.append(block(usage))
    arguments = [
        (code(param.make_metavar(context)), plain(param.help))
        for param in command.params
        if isinstance(param, click.Argument) and getattr(param, "help", None)
    ]
    own = [
        _option(param, context)
        for param in command.params
        if isinstance(param, click.Option) and not param.hidden and param.name not in COMMON
    ]
    parts.append(definitions([*arguments, *own]))
    if not set(COMMON) <= {param.name for param in command.params}:
        taken = [p for p in command.params if p.name in COMMON and isinstance(p, click.Option)]
        names = ", ".join(code(max(param.opts, key=len)) for param in taken)
        parts.append(f"Of the options of every command it takes {names or 'none'}.\n")
    return "\n".join(parts)


def _help(command: click.Command) -> str:
    text = inspect.cleandoc(command.help or "").partition("\f")[0]
    parts = []
    for paragraph in text.split("\n\n"):
        if paragraph.startswith("\b\n"):
            parts.append(block(paragraph.removeprefix("\b\n")))
        else:
            text, _, example = " ".join(paragraph.split()).partition(_EXAMPLE)
            parts += [plain(text) + "\n"] if text else []
            parts += [block(example)] if example else []
    if command.deprecated:
        parts.append("It is deprecated.\n")
    return "\n".join(parts)


def _option(param: click.Parameter, context: click.Context) -> tuple[str, str]:
    record = param.get_help_record(context)
    assert record is not None, f"{context.command_path}: {param.name} is hidden"
    names, text = record
    if not text.strip():
        text = "(not described)"
    return code(names), plain(text)
