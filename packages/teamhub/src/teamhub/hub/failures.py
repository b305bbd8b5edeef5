"""What a user is told when their notebook server does not start."""

from __future__ import annotations

from html import escape

from jupyterhub.spawner import SpawnException

from teamhub.model import Status, Workload
from teamhub.reasons import Reason

LOG_LINES = 15

_WORDS = {
    Reason.ASKED: "it was asked to stop while it started",
    Reason.CULLED: "it was stopped by a policy while it started",
    Reason.COMMAND_NOT_FOUND: "its command does not exist or may not be executed",
    Reason.EXITED_AT_START: "it ended before it had answered",
    Reason.START_TIMEOUT: "it did not answer in time",
    Reason.EXITED: "it ended by itself",
    Reason.KILLED: "something ended it with a signal",
    Reason.OUT_OF_MEMORY: "it needed more memory than it may have",
    Reason.VANISHED: "it disappeared; the machine may have been restarted",
    Reason.NO_SUCH_ENVIRONMENT: "its size is not in the configuration any more",
    Reason.ENGINE: "the engine could not start it",
}


def server_failure(
    why: str, label: str, *, log_tail: str = "", status_code: int = 500
) -> SpawnException:
    """Return what a spawner raises when there is no server, with a text for its user.

    Args:
        why: the rest of a sentence that begins "Your notebook server could not be started: ".
        label: one word for the hub's metrics.
        log_tail: what the server has written last.
        status_code: of the answer to whoever asked for the server.
    """
    sentence = f"Your notebook server could not be started: {why}."
    lines = log_tail.rstrip().splitlines()[-LOG_LINES:]
    log = "\n".join(lines)
    error = SpawnException(sentence, reason=label, status_code=status_code)
    # The page that waits for a server reads these two, and nothing else.
    error.jupyterhub_message = f"{sentence}\n{log}" if log else sentence
    error.jupyterhub_html_message = escape(sentence) + (
        f'<pre style="text-align: left; white-space: pre-wrap">{escape(log)}</pre>' if log else ""
    )
    return error


def failed_start(workload: Workload) -> SpawnException:
    """Return `server_failure` for a server that ended while it was awaited."""
    why = words_of(workload)
    if workload.status is Status.RUNNING:
        why = "it runs, but nobody has said where"
    label = workload.reason.value if workload.reason is not None else "unknown"
    return server_failure(why, label, log_tail=workload.log_tail)


def words_of(workload: Workload) -> str:
    """Return why a kernel or notebook server has ended, as the end of a sentence."""
    words = _WORDS[workload.reason] if workload.reason is not None else "it ended"
    detail = workload.detail.rstrip(".")
    if detail.startswith(("it ", "the ")):
        return detail  # says it all by itself
    return f"{words} ({detail})" if detail else words
