"""`doctor`: every check, one by one, with what is wrong and what to do."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from teamhub.cli.answers import print_json
from teamhub.cli.choice import Choice, common_options
from teamhub.config import Config
from teamhub.deployment import Deployment
from teamhub.doctor import CHECKS, Check, Patient, Result, Trial, Verdict, examine
from teamhub.errors import ConfigError, TeamhubError
from teamhub.supervisor.lock import holder
from teamhub.supervisor.origin import Origin
from teamhub.supervisor.surroundings import adopt
from teamhub.supervisor.terminal import Terminal

_STYLES = {
    Verdict.OK: "green",
    Verdict.WARNING: "yellow",
    Verdict.PROBLEM: "bold red",
    Verdict.SKIPPED: "dim",
}
_NAME_WIDTH = 16


@click.command()
@click.option("--network", is_flag=True, help="Also see whether the package index is in reach.")
@click.option("--no-trial", is_flag=True, help="Only look; make no member, start no kernel.")
@common_options
def doctor(choice: Choice, network: bool, no_trial: bool) -> int:
    """Check the installation one thing after the other: what is wrong, and what to do.

    Where a team server runs, a member is made who signs in, runs a cell on a kernel, and is
    removed again. Where none runs, that is skipped. Nothing else is changed.

    \b
    Exit status: 0 no problem (warnings are none), 1 a problem.
    Example: teamhub doctor --network
    """
    terminal = Terminal()
    patient = _patient(choice, network=network)
    show = _Show(terminal, as_json=choice.as_json)
    results = asyncio.run(_examine(patient, show, trial=patient.running and not no_trial))
    terminal.quiet()
    counts = Counter(result.verdict for result in results)
    if choice.as_json:
        print_json(
            {
                "ok": not counts[Verdict.PROBLEM],
                "running": patient.running,
                "data_dir": patient.data_dir,
                "checks": [asdict(result) for result in results],
            }
        )
    else:
        show.end(counts, patient)
    return 1 if counts[Verdict.PROBLEM] else 0


class _Show:
    """What is seen while it goes on: a line for each check, and on a terminal what is looked at."""

    def __init__(self, terminal: Terminal, *, as_json: bool) -> None:
        self._terminal = terminal
        self._quiet = as_json
        self._console = Console(highlight=False, markup=False, soft_wrap=True)

    def begin(self, check: Check) -> None:
        self.progress(f"looking at {check.name}")

    def progress(self, text: str) -> None:
        if not self._quiet and self._console.is_terminal:
            self._terminal.progress(text)

    def tell(self, result: Result) -> None:
        if self._quiet:
            return
        self._terminal.quiet()
        verdict = result.verdict
        self._console.print(
            Text.assemble(
                (f"{verdict.value:<8} ", _STYLES[verdict]),
                (f"{result.name:<{_NAME_WIDTH}} "),
                (result.text, "dim" if verdict is Verdict.SKIPPED else ""),
            )
        )
        if result.remedy:
            self._console.print(Text(f"{'':{_NAME_WIDTH + 9}} -> {result.remedy}"))

    def end(self, counts: Counter[Verdict], patient: Patient) -> None:
        words = ", ".join(
            f"{counts[verdict]} {verdict.value}{_plural(verdict, counts[verdict])}"
            for verdict in Verdict
            if counts[verdict]
        )
        self._console.print(Text(f"\n{words}"))
        if not patient.running:
            self._console.print(
                Text("no team server runs here: start it with `teamhub up`, then ask again for all")
            )


async def _examine(patient: Patient, show: _Show, *, trial: bool) -> Sequence[Result]:
    results = await examine(patient, CHECKS, begin=show.begin, tell=show.tell)
    if not trial:
        return results
    async with Trial(patient.deployment, show.progress) as tried:
        results += await examine(patient, tried.checks(), begin=show.begin, tell=show.tell)
    return results


def _patient(choice: Choice, *, network: bool) -> Patient:
    """Return what to look at: where a server runs, with the settings in force there."""
    config: Config | None = None
    fault = ""
    try:
        config = choice.settings()
        data_dir = config.data_dir
    except ConfigError as error:
        fault = str(error)
        default: Path = Config.model_fields["data_dir"].default
        file = choice.config_file
        near = file.absolute().parent if file is not None else default
        data_dir = (choice.given_data_dir or near).expanduser().absolute()
    adopt(data_dir)
    running = holder(data_dir) is not None
    if running:
        deployment = _in_force(data_dir)
        if deployment is not None:
            origin = Origin.of(deployment)
            if origin is not None and not fault:
                try:
                    origin.load()
                except ConfigError as error:
                    fault = str(error)
            config = deployment.config
    return Patient(data_dir, config, fault, running, network)


def _in_force(data_dir: Path) -> Deployment | None:
    try:
        return Deployment.running(data_dir)
    except TeamhubError:
        return None


def _plural(verdict: Verdict, count: int) -> str:
    return "s" if count > 1 and verdict in {Verdict.WARNING, Verdict.PROBLEM} else ""
