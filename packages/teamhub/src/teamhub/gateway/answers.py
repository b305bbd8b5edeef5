"""What is said in a kernel's place: while it is not there yet, and where none could be started.

A stock client takes a request for done once it has the reply *and* the status `idle` that goes
with it. So an answer is always the whole of what a kernel would send.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from teamhub.gateway import wire
from teamhub.model import Environment, Status, Workload

Answer = Sequence[tuple[str, wire.Parts]]
"""Messages in order, each with its channel."""

_PROTOCOL_VERSION = "5.4"


def answer(channel: str, request: wire.Parts, content: Mapping[str, Any]) -> Answer:
    """Return the whole answer to a request; to what is no request there is none.

    Args:
        channel: on which the request came, and the reply goes.
        request: its parts.
        content: the reply's. With `status` "error", an execution publishes the error, too.
    """
    parent = request[0]
    msg_type = wire.msg_type_of(request)
    if not msg_type.endswith("_request"):
        return ()
    messages = [("iopub", status("busy", parent))]
    if msg_type == "execute_request" and content.get("status") == "error":
        error = {name: content[name] for name in ("ename", "evalue", "traceback")}
        messages.append(("iopub", wire.reply("error", error, parent)))
        content = {"execution_count": 0, **content}
    kind = msg_type.removesuffix("_request") + "_reply"
    messages.append((channel, wire.reply(kind, content, parent)))
    messages.append(("iopub", status("idle", parent)))
    return messages


def status(execution_state: str, parent: bytes = b"{}") -> wire.Parts:
    """Return a status message."""
    return wire.reply("status", {"execution_state": execution_state}, parent)


def failure(workload: Workload) -> Mapping[str, Any]:
    """Return a reply's content that says why a kernel ended, with its last log lines."""
    title = "The kernel could not be started"
    if workload.status is Status.STOPPED:
        title = "The kernel was stopped"
    elif workload.started_at is not None:
        title = "The kernel has died"
    lines = [f"{title}: {workload.detail or workload.reason or 'for no known reason'}"]
    if workload.log_tail.strip():
        lines += ["", "Its last log lines:", *workload.log_tail.rstrip().splitlines()]
    lines += ["", "Restart the kernel to try again."]
    name = "".join(word.title() for word in (workload.reason or "stopped").split("-"))
    return {"status": "error", "ename": name, "evalue": lines[0], "traceback": lines}


def interrupted() -> Mapping[str, Any]:
    """Return a reply's content for what was interrupted before there was a kernel."""
    value = "interrupted before the kernel had started"
    return {
        "status": "error",
        "ename": "KeyboardInterrupt",
        "evalue": value,
        "traceback": [f"KeyboardInterrupt: {value}"],
    }


def assumed_kernel_info(environment: Environment) -> Mapping[str, Any]:
    """Return the `kernel_info_reply` content that follows from the settings alone.

    For kernels of an environment of which none has ever answered.
    """
    debugger = bool(environment.metadata.get("debugger"))
    return {
        "status": "ok",
        "protocol_version": _PROTOCOL_VERSION,
        "implementation": environment.name,
        "implementation_version": "",
        "banner": "",
        "debugger": debugger,
        "supported_features": ["debugger"] if debugger else [],
        "help_links": [],
        "language_info": {
            "name": environment.language,
            "version": "",
            "mimetype": f"text/x-{environment.language}",
            "file_extension": ".py" if environment.language == "python" else ".txt",
        },
    }
