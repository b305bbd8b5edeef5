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

Exit statuses of the command line: 0 done, 1 any of these, 2 wrong usage or a ConfigError, 3
AlreadyRunningError, 4 NotRunningError, 130 interrupted. `teamhub --help` says the same.

Every message is a whole sentence for a person. Nothing else than these reaches a user: what is
not one of them is a fault of ours and is logged with its traceback. A message says what to do;
`remedy` is what holds for all of a kind, for the reference and for pages with more room.
"""

from typing import ClassVar

from teamhub.reasons import Reason


class TeamhubError(Exception):
    """A problem that a user can understand; its message says what, where and what to do."""

    exit_code = 1
    remedy: ClassVar[str] = (
        "Do what the message says. Where it names a log, the last lines of that log say more; "
        "`teamhub doctor` looks for what else may be wrong."
    )
    """What can be done about errors of this kind, for a person."""


class ConfigError(TeamhubError):
    """A setting is wrong. The message carries its path, its value and what was expected."""

    exit_code = 2
    remedy = (
        "Correct the setting that the message names, in the file or the option that it names. "
        "Nothing has changed until then. `teamhub config check` reads the file without starting "
        "anything."
    )


class AlreadyRunningError(TeamhubError):
    """A team server is already running on this data directory."""

    exit_code = 3
    remedy = (
        "Use the one that runs, whose address `teamhub status` shows, or end it with "
        "`teamhub down`. A second team server on this machine needs another `--data-dir` and "
        "another `--port`."
    )


class NotRunningError(TeamhubError):
    """The command needs a running team server, and there is none on this data directory."""

    exit_code = 4
    remedy = (
        "Start the team server with `teamhub up`, and give the command the same `--data-dir` or "
        "`--config`."
    )


class AccountError(TeamhubError):
    """A user name or a password that cannot be taken, and why."""

    remedy = (
        "Choose a name of 1 to 32 of a-z, 0-9, '.', '_' and '-' that nobody has, and a password "
        "that keeps the rules that the page shows."
    )


class NotFoundError(TeamhubError):
    """There is no such thing, or it is not yours: the two are never told apart."""

    remedy = (
        "Compare the name or the id with the list: `teamhub users list`, `teamhub kernels list`, "
        "or `GET /api/kernelspecs`. What belongs to somebody else is never shown."
    )


class RefusedError(TeamhubError):
    """Understood, but not allowed, full, or not possible in the present state."""

    remedy = (
        "End or remove what the message names and try again, or ask your administrator for a "
        "higher limit."
    )


class StoreError(TeamhubError):
    """The database cannot be used."""

    remedy = (
        "See that the disk has room, that the data directory belongs to the account that runs "
        "teamhub, and that the database is of no newer teamhub. Running kernels go on meanwhile. "
        "A damaged database is replaced from a backup."
    )


class DeposedError(StoreError):
    """Another dispatcher holds the lease now; the write was refused and nothing changed."""

    remedy = (
        "Nothing need be done: another dispatcher has taken over. If it happens again and again, "
        "two team servers use one database, or the machine stands still for seconds at a time."
    )


class EngineError(TeamhubError):
    """An engine could not do what it was asked.

    Args:
        reason: what went wrong, as an enumerated reason.
        detail: one line for a person.
    """

    remedy = "What to do depends on the reason that comes with it; see the reasons."

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
