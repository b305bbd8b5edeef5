"""`logs`: what all processes have written, in one place."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from teamhub.accounts import account_name
from teamhub.cli.choice import Choice, common_options
from teamhub.cli.offers import all_kernel_ids, user_names
from teamhub.engines.logs import WorkloadLogs
from teamhub.errors import NotFoundError, NotRunningError
from teamhub.logs.following import Follower
from teamhub.logs.lines import Line, Origin
from teamhub.logs.reading import Wanted, every, last, opened
from teamhub.logs.sources import Source, of_processes
from teamhub.logs.writing import moment
from teamhub.supervisor.terminal import Terminal

DEFAULT_LINES = 100
_LOOK_SECONDS = 0.25
_PROCESSES = ("hub", "gateway", "dispatcher", "proxy", "supervisor", "shim", "kernel", "notebook")
_LEVELS = ("debug", "info", "warning", "error")
_SHORT = 8
_NAME_SHOWN = 40
_IDS = ("request_id", "kernel_id", "server_id")
_AGO = re.compile(r"(\d+)\s*(s|min|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_STYLES = {"debug": "dim", "warning": "yellow", "error": "red", "critical": "bold red"}


class _Since(click.ParamType[str]):
    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Return a time as log lines have it."""
        text = str(value).strip()
        if match := _AGO.fullmatch(text):
            seconds = int(match[1]) * _SECONDS[match[2]]
            return moment(max(0.0, time.time() - seconds))
        try:
            # Without an offset it is meant as the clock on the wall shows it.
            return moment(datetime.fromisoformat(text).astimezone().timestamp())
        except (ValueError, OverflowError, OSError):
            self.fail(
                f"{text[:40]!r} should be such as 10m, 2h, 1d or 2026-11-05T14:30", param, ctx
            )


@click.command()
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written from now on.")
@click.option(
    "--process",
    "processes",
    type=click.Choice(_PROCESSES),
    multiple=True,
    metavar="NAME",
    help=f"Only of this process ({', '.join(_PROCESSES)}); may be repeated.",
)
@click.option(
    "--kernel",
    default="",
    metavar="ID",
    shell_complete=all_kernel_ids,
    help="Only about this kernel, with its output.",
)
@click.option("--user", metavar="NAME", shell_complete=user_names, help="Only about this user.")
@click.option("--request", default="", metavar="ID", help="Only about this request.")
@click.option("--level", type=click.Choice(_LEVELS), help="Only of this level and above.")
@click.option(
    "--since", type=_Since(), metavar="TIME", help="Only from then on: 10m, 2h, or ISO 8601."
)
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(min=0),
    metavar="N",
    help=f"The last N lines [default: {DEFAULT_LINES}; all with --kernel, --request or --since].",
)
@common_options
def logs(
    choice: Choice,
    *,
    follow: bool,
    processes: Sequence[str],
    kernel: str,
    user: str | None,
    request: str,
    level: str | None,
    since: str | None,
    lines: int | None,
) -> None:
    """Show the logs of all processes, kernels and notebook servers, merged by time.

    The team server need not run. Ids may be given by their first characters. What kernels print
    is shown with --kernel, --user or --process kernel. With --json each line is one JSON object.
    """
    logs_dir = choice.data_dir / "logs"
    if not logs_dir.is_dir():
        raise NotRunningError(
            f"there are no logs in {choice.data_dir}; no team server was ever started there"
        )
    wanted = Wanted(
        processes=frozenset(processes),
        kernel=kernel.strip().lower(),
        user=account_name(user) if user is not None else "",
        request=request.strip(),
        level=level or "",
        since=since or "",
    )
    if lines is None and not (kernel or request or since):
        lines = DEFAULT_LINES
    show = _json if choice.as_json else _shown()
    find = _finder(choice.data_dir)
    if follow:
        _follow(find, wanted, sys.maxsize if lines is None else lines, show)
        return
    with opened(source for source in find() if wanted.may_be_in(source)) as files:
        if lines is None and not since:
            shown = _print(every(files, wanted), show)
        else:
            shown = _print(last(files, wanted, sys.maxsize if lines is None else lines), show)
    if not shown and lines != 0:
        _say_none(wanted, [source.origin for source in find()])


def _say_none(wanted: Wanted, origins: Iterable[Origin]) -> None:
    """Say that there is no line of what was asked for by name.

    Raises:
        NotFoundError: it is of a kernel (or notebook server) of which there is no log either.
    """
    named = (("kernel", wanted.kernel), ("request", wanted.request), ("user", wanted.user))
    of = " and ".join(f"{what} {name[:_NAME_SHOWN]!r}" for what, name in named if name)
    if not of:
        return
    alone = Wanted(kernel=wanted.kernel)
    if wanted.kernel and not any(one.workload and alone.matches_origin(one) for one in origins):
        raise NotFoundError(
            f"there is no line of {of}, and no log of such a kernel; see `teamhub kernels list` "
            "(with --all for those that have ended)"
        )
    more = wanted.processes or wanted.level or wanted.since
    Terminal().say(f"there is no line of {of}{' that is as asked for' if more else ''}")


def _finder(data_dir: Path) -> Callable[[], Sequence[Source]]:
    workloads = WorkloadLogs(data_dir)
    return lambda: [*of_processes(data_dir / "logs"), *workloads.find()]


def _follow(
    find: Callable[[], Sequence[Source]],
    wanted: Wanted,
    lines: int,
    show: Callable[[Line], None],
) -> None:
    follower = Follower(find, wanted)
    try:
        _print(follower.begin(lines), show)
        while True:
            time.sleep(_LOOK_SECONDS)
            _print(follower.look(), show)
    finally:
        follower.close()


def _print(lines: Iterable[Line], show: Callable[[Line], None]) -> int:
    """Print lines; return how many there were."""
    number = 0
    for line in lines:
        show(line)
        number += 1
    sys.stdout.flush()
    return number


def _json(line: Line) -> None:
    sys.stdout.write(line.to_json() + "\n")


def _shown() -> Callable[[Line], None]:
    """How people see a line: coloured on a terminal, plain in a pipe; whole, in any case."""
    console = Console(highlight=False, markup=False, soft_wrap=True)
    if console.is_terminal and not console.no_color:
        return lambda line: console.print(_coloured(line))

    def plain(line: Line) -> None:
        # A name of another script must not end it where the pipe is ASCII.
        encoding = sys.stdout.encoding or "utf-8"
        text = _coloured(line).plain + "\n"
        sys.stdout.write(text.encode(encoding, "replace").decode(encoding))

    return plain


def _coloured(line: Line) -> Text:
    style = _STYLES.get(line.level, "")
    text = Text()
    text.append(f"{_local(line.time):<23}", style="dim")
    text.append(f" {line.process:<10}", style="cyan")
    text.append(f" {line.level or '-':<8}", style=style)
    ids = [line.fields[name] for name in _IDS if name in line.fields]
    if ids:
        text.append(f" [{'/'.join(_printable(each[:_SHORT]) for each in ids)}]", style="dim")
    first, *others = [*line.message.splitlines(), *line.traceback.splitlines()] or [""]
    text.append(f" {_printable(first)}", style=style)
    for other in others:
        text.append(f"\n    {_printable(other)}", style=style)
    return text


def _printable(text: str) -> str:
    """A member's kernel, or a stranger's request, must not write to the reader's terminal."""
    return "".join(c if c.isprintable() or c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


def _local(moment_utc: str) -> str:
    if not moment_utc:
        return "-"
    try:
        found = datetime.strptime(moment_utc, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
        return found.astimezone().strftime("%Y-%m-%d %H:%M:%S.") + moment_utc[20:23]
    except (ValueError, OverflowError):
        return moment_utc[:23]
