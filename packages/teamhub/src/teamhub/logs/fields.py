"""What log lines are about: set once around a piece of work, and in every line from within."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType

from teamhub.model import Kind, Workload

FIELDS = ("request_id", "client_request_id", "kernel_id", "server_id", "user")
"""In the order in which a line has them."""

_NOTHING: Mapping[str, str] = MappingProxyType({})
_current: ContextVar[Mapping[str, str]] = ContextVar("teamhub-log-fields", default=_NOTHING)


@contextmanager
def about(**fields: str | None) -> Iterator[None]:
    """Say what all that is logged within is about; what was said around it still holds.

    Args:
        fields: some of `FIELDS`; those that are None or empty say nothing.
    """
    known = {name: value for name, value in fields.items() if value}
    token = _current.set({**_current.get(), **known})
    try:
        yield
    finally:
        _current.reset(token)


def about_this_task(**fields: str | None) -> None:
    """Say the same until the present task ends; a later call says more."""
    _current.set({**_current.get(), **{name: value for name, value in fields.items() if value}})


def current() -> Mapping[str, str]:
    """Return what `about` has said here."""
    return _current.get()


def of_workload(workload: Workload) -> dict[str, str]:
    """Return the fields of lines about a workload, for `about`."""
    name = "kernel_id" if workload.kind is Kind.KERNEL else "server_id"
    return {name: workload.id, "user": workload.owner}
