"""What a check is, and how checks are run: one after the other, whatever comes of each."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from teamhub.config import Config
from teamhub.deployment import Deployment
from teamhub.errors import TeamhubError


class Verdict(StrEnum):
    """How a check came out."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Finding:
    """What a check has found.

    Attributes:
        text: on one line.
        remedy: what to do, where something is to be done.
    """

    verdict: Verdict
    text: str
    remedy: str = ""


@dataclass(frozen=True)
class Patient:
    """What is being looked at.

    Attributes:
        data_dir: the data directory.
        config: the settings: in force where a server runs, else those that a start would use;
            None where they are wrong.
        fault: why they are wrong.
        running: whether a supervisor runs there.
        network: whether to look beyond this machine.
    """

    data_dir: Path
    config: Config | None
    fault: str = ""
    running: bool = False
    network: bool = False

    @property
    def deployment(self) -> Deployment:
        """The deployment with those settings. Only where there are some."""
        assert self.config is not None
        return Deployment(self.config)


Look = Callable[[Patient], Awaitable[Finding]]


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        name: a word or two, for the first column and for programs.
        look: finds out. What it raises is a problem of its own.
        live: needs a server that runs.
        settings: needs settings that are right.
    """

    name: str
    look: Look
    live: bool = False
    settings: bool = True


@dataclass(frozen=True)
class Result:
    """What one check has found, and how long that took."""

    name: str
    verdict: Verdict
    text: str
    remedy: str
    seconds: float


def ok(text: str) -> Finding:
    """Return that all is well."""
    return Finding(Verdict.OK, text)


def warning(text: str, remedy: str) -> Finding:
    """Return that something is doubtful."""
    return Finding(Verdict.WARNING, text, remedy)


def problem(text: str, remedy: str = "") -> Finding:
    """Return that something is wrong; without a remedy where the text itself has one."""
    return Finding(Verdict.PROBLEM, " ".join(text.split()), remedy)


def skipped(text: str) -> Finding:
    """Return that it could not be looked at, and why."""
    return Finding(Verdict.SKIPPED, text)


async def examine(
    patient: Patient,
    checks: Sequence[Check],
    *,
    begin: Callable[[Check], None] = lambda _: None,
    tell: Callable[[Result], None] = lambda _: None,
) -> list[Result]:
    """Run checks in their order.

    Args:
        patient: what to look at.
        checks: which.
        begin: called before each.
        tell: called after each.

    Returns:
        A result for each check. Nothing that a check raises gets out, but cancellation does.
    """
    results = []
    for check in checks:
        begin(check)
        started = time.monotonic()
        found = await _found(patient, check)
        seconds = time.monotonic() - started
        result = Result(check.name, found.verdict, found.text, found.remedy, round(seconds, 3))
        results.append(result)
        tell(result)
    return results


async def _found(patient: Patient, check: Check) -> Finding:
    if check.settings and patient.config is None:
        return skipped("the settings are wrong")
    if check.live and not patient.running:
        return skipped("no team server runs here")
    try:
        return await check.look(patient)
    except TeamhubError as error:
        # What to do is in its message.
        return problem(str(error))
    except PermissionError as error:
        return problem(
            f"{error.filename}: {error.strerror}", "run this as the account that runs teamhub"
        )
    except Exception as error:  # one check that cannot cope must not keep the others
        return problem(
            f"this could not be looked at ({type(error).__name__}: {error})",
            "report it with the output of `teamhub doctor --json`",
        )
