"""The entry: runs a command, and turns every way in which it may end into a line and a status."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import traceback
from datetime import UTC, datetime
from pathlib import Path

import click

from teamhub.cli.choice import Choice
from teamhub.cli.completion import completion
from teamhub.cli.config import config
from teamhub.cli.doctor import doctor
from teamhub.cli.groups import groups
from teamhub.cli.init import init
from teamhub.cli.kernels import kernels
from teamhub.cli.logs import logs
from teamhub.cli.server import down, up
from teamhub.cli.servers import servers
from teamhub.cli.status import status
from teamhub.cli.tokens import tokens
from teamhub.cli.users import users
from teamhub.errors import TeamhubError
from teamhub.supervisor.terminal import Terminal, let_go_of_streams

INTERRUPTED = 130


_EPILOG = """\b
Exit status of every command:
  0    done
  1    a problem, said in one line; `status`: not ready; `doctor`: a problem found
  2    wrong usage, or a wrong setting
  3    a team server is running already on this data directory
  4    no team server is running there, and the command needs one
  130  interrupted

\b
Begin with: teamhub init, then teamhub up. In trouble: teamhub doctor.
"""


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, epilog=_EPILOG)
@click.version_option(package_name="teamhub", message="%(prog)s %(version)s")
def teamhub() -> None:
    """Run a JupyterHub team server whose kernels outlive everything above them."""


for _command in (
    init,
    up,
    down,
    status,
    users,
    groups,
    tokens,
    kernels,
    servers,
    logs,
    config,
    doctor,
    completion,
):
    teamhub.add_command(_command)


def main(arguments: list[str] | None = None) -> None:
    """Run `teamhub` with these arguments (None: the process's own) and exit with its status."""
    status_code = _run(arguments)
    let_go_of_streams()
    sys.exit(status_code)


def _run(arguments: list[str] | None) -> int:
    terminal = Terminal()
    try:
        # Not standalone: click would print three lines where one says it.
        returned = teamhub.main(arguments, prog_name="teamhub", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return error.exit_code
    except click.UsageError as error:
        terminal.say(f"{_sentence(error)}; see `{_command_path(error)} --help`")
        return error.exit_code
    except click.ClickException as error:
        terminal.say(error.format_message())
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except TeamhubError as error:
        terminal.say(str(error))
        return error.exit_code
    except BrokenPipeError:
        return 1  # whoever read our output wanted no more of it
    except Exception as error:  # the last resort: nobody is shown a traceback
        terminal.say(
            f"an unexpected problem ({type(error).__name__}), a fault of teamhub's; "
            f"the details are in {_log_traceback()}"
        )
        return 1
    return returned if isinstance(returned, int) else 0


def _sentence(error: click.UsageError) -> str:
    text = " ".join(error.format_message().split()).rstrip(".")
    return text[:1].lower() + text[1:]


def _command_path(error: click.UsageError) -> str:
    return error.ctx.command_path if error.ctx is not None else "teamhub"


def _log_traceback() -> str:
    text = f"{datetime.now(UTC).isoformat()} {os.getpid()}\n{traceback.format_exc()}\n"
    chosen = Choice.last
    logs = None
    # The fault may be in finding out which deployment was meant.
    with contextlib.suppress(Exception):
        logs = chosen.data_dir / "logs" if chosen is not None else None
    try:
        if logs is None or not logs.is_dir():
            raise FileNotFoundError
        path = logs / "cli.log"
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    except OSError:
        try:
            descriptor, name = tempfile.mkstemp(prefix="teamhub-", suffix=".log")
        except OSError:
            return "no file, for none can be written"
        path = Path(name)
    with os.fdopen(descriptor, "a") as file:
        file.write(text)
    return str(path)
