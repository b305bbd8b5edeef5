"""`status`: the server on one screen."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import version

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from teamhub.cli.answers import ago, print_json
from teamhub.cli.choice import Choice, common_options
from teamhub.disk import Disk
from teamhub.errors import NotRunningError
from teamhub.supervisor.state import NodeState, State, state_of

_EVERY_SECONDS = 2.0
_MEMBERS_SHOWN = 4
_QUEUED_SHOWN = 2
_PROBLEMS_SHOWN = 2
_GIB = 1024**3


@click.command()
@click.option("--watch", is_flag=True, help=f"Again every {_EVERY_SECONDS:g} s, until Ctrl-C.")
@common_options
def status(choice: Choice, watch: bool) -> int:
    """Show on one screen how the team server is: whether it is ready, its processes and machines,
    what runs and waits, and what went wrong last with what to do.

    \b
    Exit status: 0 ready, 1 running and not ready, 4 not running.
    Example: teamhub status --watch
    """
    if watch:
        console = Console(highlight=False, markup=False)
        if choice.as_json or not console.is_terminal:
            raise click.UsageError("--watch needs a terminal, and does not go with --json.")
        return _watch(choice, console)
    try:
        state = asyncio.run(state_of(choice.deployment()))
    except NotRunningError:
        if choice.as_json:
            print_json({"running": False, "ready": False})
        raise
    if choice.as_json:
        print_json({"running": True, "ready": state.ready, **asdict(state)})
    else:
        _print(screen(state))
    return 0 if state.ready else 1


def screen(state: State) -> RenderableType:
    """Return what a person is shown of a deployment."""
    return Group(*_parts(state))


def _watch(choice: Choice, console: Console) -> int:
    shown: RenderableType = Text("looking")
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            try:
                shown = screen(asyncio.run(state_of(choice.deployment())))
            except NotRunningError as error:
                shown = Text(str(error), style="bold red")
            live.update(Group(shown, Text(), Text("Ctrl-C ends this", style="dim")), refresh=True)
            time.sleep(_EVERY_SECONDS)


def _print(renderable: RenderableType) -> None:
    console = Console(highlight=False, markup=False)
    if console.is_terminal:
        console.print(renderable)
        return
    # Whole where it goes to a file or a pipe, and without blanks at the ends of lines.
    wide = Console(highlight=False, markup=False, width=10_000, color_system=None)
    with wide.capture() as captured:
        wide.print(renderable)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())


def _parts(state: State) -> Iterator[RenderableType]:
    ready = Text("ready", "green") if state.ready else Text("not ready", "bold red")
    up = f", up for {ago(state.up_since)}" if state.up_since else ""
    yield Text.assemble((state.url, "bold"), "  ", ready, f"{up}  teamhub {version('teamhub')}")
    for problem in state.problems:
        yield Text(f"  {problem}", "red")
    disk = _space(state.disk) if state.disk is not None else Text()
    yield Text.assemble(state.data_dir, "  ", disk)
    if state.waiting_sign_ups:
        yield Text(f"{state.waiting_sign_ups} wait for approval: `teamhub users list`", "yellow")
    yield Text()
    yield _processes(state)
    if state.nodes:
        yield Text()
        yield _nodes(state.nodes)
    yield from _running(state)
    if state.queued:
        yield Text()
        yield _queue(state)
    if state.last_problems:
        yield Text()
        yield Text("LAST PROBLEMS", "bold")
        for one in state.last_problems[:_PROBLEMS_SHOWN]:
            moment = one.at.astimezone().strftime("%d %b %H:%M")
            yield _line(f"{moment}  {one.what}")
            yield _line(f"{'':{len(moment)}}  -> {one.remedy}")


def _space(disk: Disk) -> Text:
    return Text(str(disk), "bold red" if disk.low else "")


def _processes(state: State) -> Table:
    table = _table("PROCESS", "PID", "UP", "MEMORY", "RESTARTS")
    for process in state.processes:
        table.add_row(
            process.name,
            str(process.pid) if process.pid else Text("not running", "red"),
            ago(process.since),
            f"{process.memory_bytes / 1024**2:.0f} MiB" if process.memory_bytes else "-",
            Text(str(process.restarts), "yellow" if process.restarts else ""),
        )
    return table


def _nodes(nodes: Sequence[NodeState]) -> Table:
    table = _table("NODE", "CPUS", "MEMORY", "USED", "PROMISED", "RUNS", "STATE")
    for node in nodes:
        table.add_row(
            node.name,
            f"{node.cpus:g}",
            _gib(node.memory_bytes),
            _gib(node.used_bytes),
            _gib(node.promised_bytes),
            str(node.workloads),
            Text("ready", "green") if node.ready else Text(f"not ready {node.detail}", "red"),
        )
    return table


def _running(state: State) -> Iterator[Text]:
    told = [
        f"{kind}s: {', '.join(f'{number} {status}' for status, number in counts.items()) or 'none'}"
        for kind, counts in state.workloads.items()
    ]
    yield _line("; ".join(told))
    shown = [f"{one.name} {one.kernels + one.servers}" for one in state.members[:_MEMBERS_SHOWN]]
    more = len(state.members) - len(shown)
    if shown:
        yield _line(f"of {', '.join(shown)}{f' and {more} more' if more else ''}")


def _queue(state: State) -> Table:
    more = len(state.queued) - _QUEUED_SHOWN
    heading = f"{len(state.queued)} WAIT" if more > 0 else "WAITS"
    table = _table(heading, "OWNER", "NAME", "SINCE", "WHY")
    for one in state.queued[:_QUEUED_SHOWN]:
        why = one.why or "its turn comes"
        table.add_row(f"{one.kind} {one.id[:8]}", one.owner, one.name, ago(one.since), why)
    return table


def _line(text: str) -> Text:
    return Text(text, no_wrap=True, overflow="ellipsis")


def _gib(number: int | None) -> str:
    return "-" if number is None else f"{number / _GIB:.1f} GiB"


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, no_wrap=True)
    return table
