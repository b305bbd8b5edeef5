"""What a kernel and a notebook server have in common, in words."""

from __future__ import annotations

from datetime import datetime

from teamhub.cli.answers import ago, counted
from teamhub.config import Config
from teamhub.model import Status, Workload


def why(workload: Workload) -> str:
    """Return why it is where it is: the reason and its detail; empty where there is none."""
    reason = workload.reason.value if workload.reason is not None else ""
    said = ": ".join(filter(None, (reason, workload.detail)))
    return said or ("" if workload.status.ended else deaths_in_words(workload))


def deaths_in_words(workload: Workload) -> str:
    """Return that it died and was started again in place; empty where it never did."""
    deaths = workload.deaths
    if deaths is None:
        return ""
    at = deaths.last_exit_at.astimezone()
    today = at.date() == datetime.now(at.tzinfo).date()
    when = f"{at:%H:%M}" if today else f"{at:%Y-%m-%d %H:%M}"
    return f"restarted {counted(deaths.number, 'time')}, last {when}: {deaths.last_exit}"


def remedy(workload: Workload) -> str:
    """Return what an administrator can do about it as it is, empty where that is nothing."""
    if workload.status is Status.FAILED and workload.reason is not None:
        return workload.reason.remedy.administrator
    if workload.status is Status.QUEUED:
        return f"It waits for its turn; `teamhub {workload.kind.value}s list` says what runs."
    return ""


def life_of(workload: Workload) -> list[tuple[str, str]]:
    """Return when it was asked for, began to run and ended, as labels and values."""
    fields = [("asked for", _at(workload.created_at))]
    if workload.started_at is not None:
        took = (workload.started_at - workload.created_at).total_seconds()
        later = f", {took:.1f} s later" if workload.attempt == 1 else ""
        fields.append(("runs since", f"{_at(workload.started_at)}{later}"))
    if workload.attempt > 1:
        fields.append(("attempt", str(workload.attempt)))
    if workload.status.ended:
        fields.append(("ended", _at(workload.changed_at)))
    return fields


def size_in_words(config: Config, name: str | None) -> str:
    """Return a size with what it gives: "small: 2 CPUs, 4 GiB"."""
    if not name:
        return "not limited"
    settings = config.sizes.get(name)
    if settings is None:
        return f"{name} (not in the settings any more)"
    gives = []
    if settings.cpus is not None:
        gives.append("1 CPU" if settings.cpus == 1 else f"{settings.cpus:g} CPUs")
    if settings.memory is not None:
        gives.append(f"{settings.memory / 1024**3:.3g} GiB")
    return f"{name}: {', '.join(gives) or 'not limited'}"


def environment_in_words(config: Config, name: str | None) -> str:
    """Return an environment with how people see it: "python3 (Python 3)"."""
    settings = config.environments.get(name or "")
    if settings is None:
        return f"{name or '-'} (not in the settings any more)"
    return f"{name} ({settings.display_name})" if settings.display_name else f"{name}"


def _at(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S} ({ago(moment)} ago)"
