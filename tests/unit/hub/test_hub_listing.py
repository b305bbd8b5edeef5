"""What pages say of kernels and notebook servers."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from teamhub.config import Config, EnvironmentSettings, SizeSettings
from teamhub.hub.failures import words_of
from teamhub.hub.pages.listing import FAILED_SHOWN, in_utc, kernel_rows, kernel_title, state_of
from teamhub.model import Desired, Kind, Status, Workload
from teamhub.reasons import Reason
from teamhub.store.sessions import Session

CONFIG = Config(
    data_dir=Path("/nowhere"),
    sizes={"small": SizeSettings(), "large": SizeSettings(display_name="Large")},
    environments={"python3": EnvironmentSettings(display_name="Python 3")},
)
MOMENT = datetime.now(UTC)
KERNEL = Workload(
    id="k1",
    kind=Kind.KERNEL,
    owner="alice",
    name="python3",
    environment="python3",
    size="small",
    desired=Desired.RUNNING,
    status=Status.RUNNING,
    attempt=1,
    created_at=MOMENT,
    changed_at=MOMENT,
    execution_state="idle",
)


@pytest.mark.parametrize(
    ("changes", "state", "kind"),
    [
        ({}, "Idle", "good"),
        ({"execution_state": "busy"}, "Running code", "busy"),
        ({"execution_state": "restarting"}, "Restarting", "good"),
        ({"kind": Kind.SERVER}, "Running", "good"),
        ({"status": Status.QUEUED}, "Queued", "busy"),
        ({"status": Status.PLACED}, "Starting", "busy"),
        ({"status": Status.STARTING}, "Starting", "busy"),
        ({"desired": Desired.STOPPED}, "Stopping", "busy"),
        ({"status": Status.QUEUED, "desired": Desired.STOPPED}, "Stopping", "busy"),
        ({"status": Status.FAILED}, "Failed", "wrong"),
    ],
)
def test_state_in_words(changes: dict[str, object], state: str, kind: str) -> None:
    assert state_of(replace(KERNEL, **changes)) == (state, kind)  # type: ignore[arg-type]


def test_kernel_is_called_as_in_the_launcher() -> None:
    assert kernel_title(CONFIG, KERNEL) == "Python 3"
    assert kernel_title(CONFIG, replace(KERNEL, size="large")) == "Python 3 · Large"
    unnamed = CONFIG.model_copy(update={"environments": {"python3": EnvironmentSettings()}})
    assert kernel_title(unnamed, KERNEL) == "python3"
    gone = replace(KERNEL, environment="gone", size="gone", name="gone-large")
    assert kernel_title(CONFIG, gone) == "gone-large"


def test_kernels_that_have_ended_are_shown_only_where_they_failed_of_late() -> None:
    old = MOMENT - FAILED_SHOWN - timedelta(minutes=1)
    workloads = [
        KERNEL,
        replace(KERNEL, id="server", kind=Kind.SERVER),
        replace(KERNEL, id="stopped", status=Status.STOPPED),
        replace(KERNEL, id="old", status=Status.FAILED, changed_at=old),
        replace(KERNEL, id="dismissed", status=Status.FAILED, desired=Desired.STOPPED),
        replace(KERNEL, id="failed", status=Status.FAILED, log_tail="a\nb\n"),
    ]
    sessions = [Session("s", "alice", path, "", "notebook", "k1") for path in ("a", "b")]
    failed, kernel = kernel_rows(CONFIG, workloads, sessions)
    assert (failed.id, failed.failed, failed.log) == ("failed", True, "a\nb")
    assert (kernel.id, kernel.paths, kernel.can_stop) == ("k1", ("a", "b"), True)


@pytest.mark.parametrize(
    ("detail", "words"),
    [
        ("", "it ended before it had answered"),
        ("exit code 3.", "it ended before it had answered (exit code 3)"),
        ("the kernel exited with code 3", "the kernel exited with code 3"),
        ("it ended with exit code 3", "it ended with exit code 3"),
    ],
)
def test_why_it_ended_is_said_once(detail: str, words: str) -> None:
    assert words_of(replace(KERNEL, reason=Reason.EXITED_AT_START, detail=detail)) == words


def test_moments_without_a_time_zone_are_in_utc() -> None:
    assert in_utc(None) is None
    naive = datetime(2026, 11, 24, 8)
    assert in_utc(naive) == datetime(2026, 11, 24, 8, tzinfo=UTC)
    east = datetime(2026, 11, 24, 8, tzinfo=timezone(timedelta(hours=2)))
    moment = in_utc(east)
    assert moment is not None
    assert moment.hour == 6
