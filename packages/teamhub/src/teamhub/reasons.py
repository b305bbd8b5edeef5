"""Why a workload ended or failed: an enumeration, so that nobody has to parse a sentence.

What can be done about each is here, too, once: pages, commands and the reference say the same.
"""

from collections.abc import Mapping
from enum import StrEnum


class Reason(StrEnum):
    """Why a workload is where it is. Stored, shown, and sent to clients as `reason`."""

    ASKED = "asked"
    """Somebody asked for it to stop."""
    CULLED = "culled"
    """A policy stopped it (idle, a time limit)."""
    COMMAND_NOT_FOUND = "command-not-found"
    """The command of the environment does not exist or may not be executed."""
    EXITED_AT_START = "exited-at-start"
    """It ended before it had answered once."""
    START_TIMEOUT = "start-timeout"
    """It did not answer within the start deadline."""
    EXITED = "exited"
    """It ended by itself after it had run."""
    KILLED = "killed"
    """A signal ended it that we did not send."""
    OUT_OF_MEMORY = "out-of-memory"
    """It exceeded its memory and was ended."""
    VANISHED = "vanished"
    """The engine no longer knows it, and no exit was seen (a reboot, a lost node)."""
    NO_SUCH_ENVIRONMENT = "no-such-environment"
    """The environment or size that it names is not in the configuration any more."""
    ENGINE = "engine"
    """The engine refused or failed; the detail has its words."""

    @property
    def remedy(self) -> str:
        """What can be done about it: sentences for a member, then for an administrator."""
        return REMEDIES[self]


REMEDIES: Mapping[Reason, str] = {
    Reason.ASKED: "Nothing is wrong. Start it again when you need it.",
    Reason.CULLED: (
        "Nothing is wrong with it. Start it again; ask your administrator for another limit if it "
        "was ended while you needed it."
    ),
    Reason.COMMAND_NOT_FOUND: (
        "Choose another kernel until your administrator has mended this one. Administrator: see "
        "that the environment's `argv` and `prefix` name programs that exist and that the member's "
        "account may execute."
    ),
    Reason.EXITED_AT_START: (
        "Read its last log lines, which are shown with it: they say why. Often a package in your "
        "home shadows one that it needs, your home is full, or the environment lacks its Jupyter "
        "kernel (for Python, the package ipykernel)."
    ),
    Reason.START_TIMEOUT: (
        "Try once more: the machine may have been busy. If it happens again, read its log. "
        "Administrator: raise `kernels.start_timeout_seconds`, or for notebook servers "
        "`servers.start_timeout_seconds`, where a start simply takes long."
    ),
    Reason.EXITED: (
        "Restart the kernel. If your code did not end it on purpose (`exit()`, `os._exit()`), its "
        "log has its last words."
    ),
    Reason.KILLED: (
        "Restart the kernel. Most often the machine had no memory left and ended its largest "
        "process, or somebody used `kill`. Administrator: the machine's own log (`dmesg`) names "
        "what was ended for memory; a `memory` in the size keeps one kernel from taking it all."
    ),
    Reason.OUT_OF_MEMORY: (
        "Use less memory at once, or choose a larger size, then restart the kernel. "
        "Administrator: sizes and their `memory` are in the settings."
    ),
    Reason.VANISHED: (
        "Restart the kernel. The machine was restarted, or everything on it was ended; what was "
        "not saved in a notebook or a file is gone."
    ),
    Reason.NO_SUCH_ENVIRONMENT: (
        "Choose another kernel. Administrator: an environment or a size was taken out of the "
        "settings, or has another name, since this was started."
    ),
    Reason.ENGINE: (
        "Try once more; the words beside it are the engine's. Administrator: `teamhub doctor` and "
        "the gateway's log say more."
    ),
}
"""What to do about each reason."""
