"""Logs: JSON lines of every process, free of secrets, in one place to read them.

A line is one JSON object. Its fields::

    time               UTC, always as 2026-11-05T10:00:00.123Z; always the first field
    level              debug, info, warning, error, critical
    process            hub, gateway, supervisor, proxy, shim, notebook
    logger             the part of the process that says it
    message            one or more lines for a person
    request_id         of the HTTP request that it is about
    client_request_id  what the client called that request; not believed, only shown
    kernel_id          the kernel that it is about; server_id for a notebook server
    user               whom it is about
    traceback          where a fault happened

Fields that are not known are left out. The proxy writes a text of its own, which is read as such
a line.
"""

from teamhub.logs.fields import about, about_this_task, of_workload
from teamhub.logs.lines import as_text
from teamhub.logs.redaction import redacted
from teamhub.logs.writing import JsonFormatter, LogStream, set_up

__all__ = [
    "JsonFormatter",
    "LogStream",
    "about",
    "about_this_task",
    "as_text",
    "of_workload",
    "redacted",
    "set_up",
]
