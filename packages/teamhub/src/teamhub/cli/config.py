"""`config`: the settings of a deployment; checked, shown, explained and put in force."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from teamhub.cli.answers import print_json
from teamhub.cli.choice import Choice, common_options
from teamhub.cli.offers import own_setting_paths, setting_paths
from teamhub.config import Config
from teamhub.config.changes import Change, changes, parts_of
from teamhub.config.documentation import (
    did_you_mean,
    documentation_markdown,
    documentation_text,
    example_toml,
    restarts_in_words,
    setting,
    settings,
    tables,
    within,
)
from teamhub.config.shown import in_words, lines, masked
from teamhub.deployment import Deployment
from teamhub.doctor.settings import remarks, without_ipykernel
from teamhub.errors import ConfigError, NotFoundError, RefusedError, TeamhubError
from teamhub.supervisor import apply as applying
from teamhub.supervisor.lock import holder
from teamhub.supervisor.origin import Origin, Overridden
from teamhub.supervisor.surroundings import adopt
from teamhub.supervisor.terminal import Terminal

_NOTHING_CHANGED = "nothing has changed since the team server read its settings"


_PATH_SHOWN = 80  # characters


@click.group()
def config() -> None:
    """Check, show, explain and apply the settings.

    \b
    Example: teamhub config check, then teamhub config apply
    """


@config.command()
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@common_options
def check(choice: Choice, file: Path | None) -> int:
    """Check FILE, or the deployment's settings, and say what a change takes.

    Where a team server runs on the data directory, every setting that differs from the ones in
    force is listed with what has to be started again for it.

    \b
    Exit status: 0 valid (with warnings too), 2 not valid.
    Example: teamhub config check draft.toml --data-dir /srv/teamhub
    """
    if file is not None and choice.config_file is not None:
        raise click.UsageError("give the file once: as FILE or with --config.")
    chosen = Choice(choice.given_data_dir, file or choice.config_file, choice.as_json)
    try:
        wanted = chosen.settings()
    except ConfigError as error:
        return _answer_faults(choice, str(error).splitlines())
    adopt(wanted.data_dir)
    running, found, overridden = _against_running(chosen, wanted)
    noted = [*remarks(wanted), *without_ipykernel(wanted)]
    faults = [str(one) for one in noted if one.fatal]
    if choice.as_json:
        print_json(
            {
                "valid": not faults,
                "faults": faults,
                "warnings": [str(one) for one in noted if not one.fatal],
                "running": running,
                "changes": [_as_json(change) for change in found],
                "overridden": [asdict(one) for one in overridden],
                "applies": applying.refusal(found) is None,
            }
        )
        return ConfigError.exit_code if faults else 0
    terminal = Terminal()
    for one in noted:
        terminal.say(f"{one}" if one.fatal else f"warning: {one}")
    if not faults:
        click.echo("the settings are valid")
    if running:
        _show_changes(found)
    for override in overridden:
        click.echo(str(override))
    return ConfigError.exit_code if faults else 0


@config.command()
@click.argument("path", required=False, default="", shell_complete=own_setting_paths)
@click.option("--changed", is_flag=True, help="Only what has another value than its default.")
@common_options
def show(choice: Choice, path: str, changed: bool) -> None:
    """Show the settings that a start would use, as TOML; of PATH alone where it is given.

    Passwords in addresses, and whatever is called a secret or token, are masked.

    \b
    Example: teamhub config show sizes.standard
    """
    wanted = choice.settings()
    _existing(path)
    if choice.as_json:
        print_json(_at(masked(wanted), path))
        return
    found = lines(wanted, path, changed=changed)
    if path and not found and not changed:
        raise NotFoundError(f"{path}: this is not set")
    click.echo("\n".join(found) if found else "# everything is as without a file")
    deployment = _running(wanted.data_dir)
    origin = _origin(deployment, choice, wanted) if deployment is not None else None
    for one in origin.overridden() if origin is not None else ():
        if within(one.path, path):
            click.echo(f"# {one}")


@config.command()
@click.argument("path", required=False, default="", shell_complete=setting_paths)
@click.option("--toml", "as_toml", is_flag=True, help="The commented example file.")
@click.option("--markdown", "as_markdown", is_flag=True, help="As Markdown, for a page.")
@common_options
def docs(choice: Choice, path: str, as_toml: bool, as_markdown: bool) -> None:
    """Explain all settings, or the table or setting PATH.

    \b
    Example: teamhub config docs sizes.NAME.memory
    """
    if as_toml:
        if path or as_markdown:
            raise click.UsageError("--toml prints the whole example file; give it alone.")
        click.echo(example_toml(), nl=False)
        return
    _existing(path)
    if choice.as_json:
        print_json(
            [
                {
                    "path": one.path,
                    "text": one.text,
                    "expected": one.expected,
                    "default": one.default,
                    "example": one.example,
                    "restarts": [part.value for part in one.restarts],
                }
                for one in settings()
                if within(one.path, path)
            ]
        )
        return
    text = documentation_markdown(path) if as_markdown else documentation_text(path)
    click.echo(text, nl=False) if path or as_markdown else click.echo_via_pager(text)


@config.command()
@common_options
def apply(choice: Choice) -> None:
    """Put changed settings in force on the team server that runs.

    Only the hub and the gateway are started again, as needed: kernels and notebook servers go on.
    The file is the one that `teamhub up` was started with. Where a change takes a restart of
    everything, nothing is applied. Where a part does not come up with the new settings, the old
    ones are put back.

    \b
    Exit status: 0 applied or nothing to do, 2 not valid, 4 no server runs, 1 not applied.
    Example: teamhub config apply
    """
    terminal = Terminal()
    deployment, found, overridden = _to_apply(choice)
    refused = applying.refusal(found)
    for one in overridden:
        terminal.say(str(one))
    for line in map(_difference, found) if refused is None else _lines_of(found):
        terminal.say(line)
    if refused is not None:
        raise refused
    answer = asyncio.run(applying.ask(deployment, terminal))
    terminal.quiet()
    if answer.state == "failed":
        error = ConfigError if answer.exit_code == ConfigError.exit_code else TeamhubError
        raise error(answer.message)
    if choice.as_json:
        print_json(
            {
                "changed": answer.changed,
                "restarted": answer.restarted,
                "changes": [_as_json(change) for change in found],
            }
        )
    elif not answer.changed:
        terminal.say(_NOTHING_CHANGED)
    else:
        names = " and ".join(f"the {name}" for name in answer.restarted)
        after = f"; {names} restarted, kernels and notebook servers went on" if names else ""
        terminal.say(f"in force: {', '.join(answer.changed)}{after}")


def _to_apply(choice: Choice) -> tuple[Deployment, Sequence[Change], Sequence[Overridden]]:
    """Return the deployment that runs, what its file says otherwise now, and what in vain.

    Raises:
        NotRunningError, ConfigError: none runs, or the file is wrong.
        RefusedError: another file was named than the one that the server was started with.
    """
    data_dir = choice.data_dir
    deployment = Deployment.running(data_dir)
    if holder(data_dir) is None:
        raise applying.not_running(deployment)
    origin = Origin.of(deployment)
    if origin is None:
        raise RefusedError(
            "the team server was started by an earlier teamhub, which cannot do this; "
            f"use {applying.RESTART}"
        )
    file = origin.file_of(data_dir)
    if choice.config_file is not None and choice.config_file.absolute() != file:
        raise RefusedError(
            f"the team server was started with {file}; change that file, or start it with "
            f"{choice.config_file}"
        )
    wanted = origin.load()
    adopt(data_dir)
    for one in remarks(wanted):
        if one.fatal:
            raise ConfigError(str(one))
    return deployment, changes(deployment.config, wanted), _in_vain(origin)


def _against_running(
    choice: Choice, wanted: Config
) -> tuple[bool, Sequence[Change], Sequence[Overridden]]:
    """Return whether a server runs there, what would change for it, and what in vain."""
    deployment = _running(wanted.data_dir)
    if deployment is None:
        return False, (), ()
    origin = _origin(deployment, choice, wanted)
    if origin is None:
        return True, changes(deployment.config, wanted), ()
    return True, changes(deployment.config, origin.load()), _in_vain(origin)


def _running(data_dir: Path) -> Deployment | None:
    if holder(data_dir) is None:
        return None
    try:
        return Deployment.running(data_dir)
    except TeamhubError:
        return None


def _origin(deployment: Deployment, choice: Choice, wanted: Config) -> Origin | None:
    """Return where settings would come from: an option of `up` goes on winning over the file."""
    origin = Origin.of(deployment)
    if origin is None:
        return None
    file = choice.config_file.absolute() if choice.config_file else origin.config_file
    return Origin(
        config_file=file, overrides={"data_dir": str(wanted.data_dir), **origin.overrides}
    )


def _in_vain(origin: Origin) -> Sequence[Overridden]:
    return [one for one in origin.overridden() if one.is_set]


def _answer_faults(choice: Choice, faults: Sequence[str]) -> int:
    if choice.as_json:
        print_json({"valid": False, "faults": faults})
    else:
        terminal = Terminal()
        for fault in faults:
            terminal.say(fault)
    return ConfigError.exit_code


def _show_changes(found: Sequence[Change]) -> None:
    if not found:
        click.echo(_NOTHING_CHANGED)
        return
    click.echo("against the settings in force on the team server that runs:")
    for line in _lines_of(found):
        click.echo(f"  {line}")
    if applying.refusal(found) is not None:
        click.echo(f"all of it: {applying.RESTART}")
    else:
        parts = " and ".join(f"the {part.value}" for part in sorted(parts_of(found)))
        what = f"`teamhub config apply` restarts {parts}" if parts else "`teamhub config apply`"
        click.echo(f"all of it: {what}; kernels and notebook servers go on")


def _lines_of(found: Sequence[Change]) -> list[str]:
    return [f"{_difference(change)}: {restarts_in_words(change.restarts)}" for change in found]


def _difference(change: Change) -> str:
    if change.before is None and _entry(change):
        return f"{change.path} is new"
    if change.after is None and _entry(change):
        return f"{change.path} is gone"
    before, after = in_words(change.path, change.before), in_words(change.path, change.after)
    return f"{change.path} {before} -> {after}"


def _entry(change: Change) -> bool:
    """Whether a whole entry of a table came or went."""
    return change.path.count(".") == 1 and setting(change.path) is None


def _as_json(change: Change) -> dict[str, Any]:
    name = change.path.rpartition(".")[2]
    return {
        "path": change.path,
        "before": masked(change.before, name),
        "after": masked(change.after, name),
        "restarts": [part.value for part in change.restarts],
    }


def _at(value: Any, path: str) -> Any:
    """Return a part of nested tables. Raises NotFoundError. Names of entries may have dots."""
    if not path:
        return value
    for key, inner in value.items() if isinstance(value, dict) else ():
        if path == key:
            return inner
        if path.startswith(f"{key}."):
            return _at(inner, path.removeprefix(f"{key}."))
    raise NotFoundError(f"{path}: this is not set")


def _existing(path: str) -> None:
    """Check that there is such a table or setting. Raises ConfigError: did you mean."""
    if not path or any(within(one.path, path) for one in settings()):
        return
    hint = did_you_mean(path, also=tables())
    raise ConfigError(f"{path[:_PATH_SHOWN]}: there is no such setting or table{hint}")
