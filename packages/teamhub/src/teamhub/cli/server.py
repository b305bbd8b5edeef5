"""`up`, `down` and `status`: the server as a whole."""

from __future__ import annotations

import asyncio
from dataclasses import asdict

import click

from teamhub.cli.answers import ago, print_json, print_table
from teamhub.cli.choice import Choice, common_options
from teamhub.deployment import Deployment
from teamhub.errors import NotRunningError
from teamhub.supervisor.down import Ended
from teamhub.supervisor.down import down as end
from teamhub.supervisor.preflight import preflight
from teamhub.supervisor.state import State, state_of
from teamhub.supervisor.terminal import Terminal
from teamhub.supervisor.up import Supervisor, count_of


@click.command()
@click.option("--port", type=int, metavar="N", help="The port that people open.")
@common_options
def up(choice: Choice, port: int | None) -> None:
    """Run the team server in the foreground. Ctrl-C ends it with all that it started."""
    deployment = Deployment(choice.settings(proxy__port=port))
    terminal = Terminal()
    for said in preflight(deployment):
        terminal.say(said)
    asyncio.run(Supervisor(deployment, terminal, as_json=choice.as_json).run())


@click.command()
@click.option("--keep-kernels", is_flag=True, help="Leave kernels and notebook servers running.")
@common_options
def down(choice: Choice, keep_kernels: bool) -> None:
    """End the team server with its kernels and notebook servers."""
    terminal = Terminal()
    try:
        ended = asyncio.run(end(choice.deployment(), terminal, keep_kernels=keep_kernels))
    except NotRunningError:
        ended = Ended()
    terminal.quiet()
    if choice.as_json:
        print_json({"was_running": ended.anything, **asdict(ended)})
    elif not ended.anything:
        kept = f"; {count_of(ended.kept)} left running" if ended.kept else ""
        terminal.say(f"no team server is running on {choice.data_dir}{kept}")
    elif ended.kept:
        terminal.say(
            f"the team server on {choice.data_dir} has ended; {count_of(ended.kept)} left running"
        )
    else:
        terminal.say(f"the team server on {choice.data_dir} has ended")


@click.command()
@common_options
def status(choice: Choice) -> int:
    """Say whether the team server is ready, what runs, and what went wrong last.

    Exit status: 0 ready, 1 running and not ready, 4 not running.
    """
    try:
        state = asyncio.run(state_of(choice.deployment()))
    except NotRunningError:
        if choice.as_json:
            print_json({"running": False, "ready": False})
        raise
    if choice.as_json:
        print_json({"running": True, "ready": state.ready, **asdict(state)})
    else:
        _show(state)
    return 0 if state.ready else 1


def _show(state: State) -> None:
    since = f" since {ago(state.ready_since)}" if state.ready and state.ready_since else ""
    click.echo(f"address    {state.url}")
    click.echo(f"state      {'ready' + since if state.ready else 'not ready'}")
    for problem in state.problems:
        click.echo(f"           {problem}")
    for kind, counts in state.workloads.items():
        told = ", ".join(f"{number} {status}" for status, number in counts.items())
        click.echo(f"{kind + 's':<10} {told or 'none'}")
    click.echo()
    print_table(
        ("PROCESS", "PID", "UP", "RESTARTS", "LAST EXIT"),
        [
            (
                process.name,
                str(process.pid or "-"),
                ago(process.since),
                str(process.restarts),
                f"{process.last_exit}, {ago(process.last_exit_at)} ago"
                if process.last_exit
                else "-",
            )
            for process in state.processes
        ],
    )
    if state.failures:
        click.echo()
        print_table(
            ("FAILED", "OWNER", "NAME", "AGO", "WHY"),
            [
                (f"{one.kind} {one.id[:8]}", one.owner, one.name, ago(one.at), one.why)
                for one in state.failures
            ],
        )
