"""Why a workload ended or failed: an enumeration, so that nobody has to parse a sentence."""

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
