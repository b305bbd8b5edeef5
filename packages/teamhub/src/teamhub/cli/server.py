"""`up` and `down`: the server as a whole."""

from __future__ import annotations

import asyncio
from dataclasses import asdict

import click

from teamhub.cli.answers import print_json
from teamhub.cli.choice import Choice, PortNumber, common_options
from teamhub.deployment import Deployment
from teamhub.errors import NotRunningError
from teamhub.supervisor.down import Ended
from teamhub.supervisor.down import down as end
from teamhub.supervisor.preflight import preflight
from teamhub.supervisor.surroundings import adopt
from teamhub.supervisor.terminal import Terminal
from teamhub.supervisor.up import Supervisor, count_of


@click.command()
@click.option("--port", type=PortNumber(), metavar="N", help="The port that people open.")
@common_options
def up(choice: Choice, port: int | None) -> None:
    """Run the team server in the foreground. Ctrl-C ends it with all that it started.

    The first start makes an administrator and prints a one-time password for them, once.

    \b
    Example: teamhub up --data-dir /srv/teamhub
    """
    origin = choice.origin(proxy__port=port)
    deployment, terminal = Deployment(origin.load()), Terminal()
    adopt(deployment.data_dir)
    for said in preflight(deployment):
        terminal.say(said)
    asyncio.run(Supervisor(deployment, terminal, as_json=choice.as_json, origin=origin).run())


@click.command()
@click.option("--keep-kernels", is_flag=True, help="Leave kernels and notebook servers running.")
@common_options
def down(choice: Choice, keep_kernels: bool) -> None:
    """End the team server with its kernels and notebook servers.

    \b
    Example: teamhub down --keep-kernels
    """
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
