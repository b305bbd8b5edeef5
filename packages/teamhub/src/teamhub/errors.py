"""What a user may be told.

TeamhubError                 one line: what, where, what to do
├── ConfigError              a setting is wrong: path, value, expected
├── AlreadyRunningError      a second `up` on one data directory
├── NotRunningError          a command needs a running server
├── AccountError             a name or password that cannot be taken
├── NotFoundError            no such kernel, user, environment (also: not yours)
├── RefusedError             understood, and not allowed
├── StoreError               the database cannot be used
│   └── DeposedError         a dispatcher that lost its lease tried to write
└── EngineError              the engine could not do what it was asked; carries a Reason

Every message is a whole sentence for a person. Nothing else than these reaches a user: what is
not one of them is a fault of ours and is logged with its traceback.
"""

from teamhub.reasons import Reason


class TeamhubError(Exception):
    """A problem that a user can understand; its message says what, where and what to do."""

    exit_code = 1


class ConfigError(TeamhubError):
    """A setting is wrong. The message carries its path, its value and what was expected."""

    exit_code = 2


class AlreadyRunningError(TeamhubError):
    """A team server is already running on this data directory."""

    exit_code = 3


class NotRunningError(TeamhubError):
    """The command needs a running team server, and there is none on this data directory."""

    exit_code = 4


class AccountError(TeamhubError):
    """A user name or a password that cannot be taken, and why."""


class NotFoundError(TeamhubError):
    """There is no such thing, or it is not yours: the two are never told apart."""


class RefusedError(TeamhubError):
    """Understood, but not allowed, full, or not possible in the present state."""


class StoreError(TeamhubError):
    """The database cannot be used."""


class DeposedError(StoreError):
    """Another dispatcher holds the lease now; the write was refused and nothing changed."""


class EngineError(TeamhubError):
    """An engine could not do what it was asked.

    Args:
        reason: what went wrong, as an enumerated reason.
        detail: one line for a person.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
