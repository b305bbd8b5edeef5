"""Why a workload ended or failed: an enumeration, so that nobody has to parse a sentence.

What can be done about each is here, too, once: pages, commands and the reference say the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True)
class Remedy:
    """What to do, in whole sentences.

    Attributes:
        member: for whoever's kernel or notebook server it is.
        administrator: for who runs the team server.
    """

    member: str
    administrator: str


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
    def remedy(self) -> Remedy:
        """What can be done about it."""
        return REMEDIES[self]


REMEDIES: Mapping[Reason, Remedy] = {
    Reason.ASKED: Remedy(
        "Nothing is wrong. Start it again when you need it.",
        "Nothing is wrong.",
    ),
    Reason.CULLED: Remedy(
        "Start it again. If you needed it, ask your administrator for another limit.",
        "Nothing is wrong; the limits are in the settings.",
    ),
    Reason.COMMAND_NOT_FOUND: Remedy(
        "Choose another kernel until your administrator has mended this one.",
        "See that the environment's `argv` and `prefix` name programs that exist, and that its "
        "owner's account may execute them.",
    ),
    Reason.EXITED_AT_START: Remedy(
        "Its last log lines say why. Often a package in your home hides one that it needs, or your "
        "home is full.",
        "Its log says why. Often the environment lacks its Jupyter kernel (for Python, the package "
        "ipykernel), or a file in the owner's home breaks it (in `~/.ipython` or `~/.local`).",
    ),
    Reason.START_TIMEOUT: Remedy(
        "Try once more: the machine may have been busy. If it happens again, tell your "
        "administrator.",
        "Its log says how far it came. Where a start takes long (a slow disk), raise "
        "`kernels.start_timeout_seconds`, or `servers.start_timeout_seconds` for notebook servers.",
    ),
    Reason.EXITED: Remedy(
        "Restart it. If your code did not end it on purpose (`exit()`), its log has its last "
        "words.",
        "Its log has its last words; its owner can start it again.",
    ),
    Reason.KILLED: Remedy(
        "Restart it. Most often the machine had no memory left and ended its largest process: use "
        "less, or choose a larger size.",
        "The machine's own log (`journalctl -k`) says who has killed it. A `memory` in the sizes "
        "keeps one kernel from taking all that the machine has.",
    ),
    Reason.OUT_OF_MEMORY: Remedy(
        "Use less memory at once, or choose a larger size, then restart it.",
        "Let its owner choose a larger size, or give the size more `memory`.",
    ),
    Reason.VANISHED: Remedy(
        "Restart it. What was not saved in a notebook or a file is gone.",
        "Nothing, if the machine was restarted. Otherwise something has ended everything of it at "
        "once; the machine's own log may say what.",
    ),
    Reason.NO_SUCH_ENVIRONMENT: Remedy(
        "Choose another kernel or size.",
        "Put the environment or size back into the settings, or let its owner choose another.",
    ),
    Reason.ENGINE: Remedy(
        "Try once more. If it happens again, show your administrator the words beside it.",
        "The words beside it are the engine's own. `teamhub doctor` and the gateway's log say "
        "more.",
    ),
}
"""What to do about each reason."""
