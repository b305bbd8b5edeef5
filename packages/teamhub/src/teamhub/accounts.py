"""Local accounts: what may be a name and a password, and how the two are made and checked.

Used by the hub at sign-in and by the command line, which works while the hub is down. Hashing
takes a tenth of a second and 64 MiB, so it is done in threads, two at a time.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import unicodedata
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from teamhub.errors import AccountError, NotFoundError, RefusedError
from teamhub.store import Store
from teamhub.store.accounts import Account, Arrival

NAME_PATTERN = r"[a-z0-9][a-z0-9._-]{0,31}"
MAXIMUM_PASSWORD_LENGTH = 1024
"""In characters. A bound on what an unknown client can make us hash."""

NOTE_LENGTH = 200
"""In characters, of what somebody says of themselves at sign-up."""

_BLANKS = " \t\r\n"
"""What strip() takes beside these are control characters, which are no part of a name."""

GROUP_PATTERN = r"[a-z0-9][a-z0-9._-]{0,62}"

_ROLE_WORDS = {"admin", "administrator", "member"}

# Nothing that looks like something else: no i, l, o, 0, 1. Sixteen of them are 79 bits.
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
_GROUPS = 4
_GROUP_LENGTH = 4

_T = TypeVar("_T")

_hasher = PasswordHasher()
_threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="passwords")
_decoy: list[str] = []


def account_name(text: str) -> str:
    """Return the account name that somebody means: without blanks around it, in lower case.

    Raises:
        AccountError: it cannot be an account's name.
    """
    return _meant(text, NAME_PATTERN, 32, "a user name")


def group_name(text: str) -> str:
    """Return the name that somebody means for a new group: without blanks, in lower case.

    Raises:
        AccountError: it cannot be a group's name.
    """
    return _meant(text, GROUP_PATTERN, 63, "a group's name")


def password_rules(minimum_length: int) -> str:
    """Return what a new password must be, as one sentence for a person."""
    return (
        f"At least {minimum_length} characters of any kind, "
        "not your user name, and not the password that you have now."
    )


async def add_user(store: Store, name: str, *, admin: bool) -> str:
    """Add an account and return its one-time password, which is kept nowhere.

    Raises:
        AccountError: the name is taken, or cannot be a name.
    """
    name = account_name(name)
    password = one_time_password()
    await store.accounts.add(name, await _hash(password), one_time=True, admin=admin)
    return password


async def sign_up(
    store: Store,
    name: str,
    password: str,
    *,
    note: str,
    minimum_length: int,
    waiting_limit: int,
) -> Account:
    """Add an account that an administrator has to approve before it is good for anything.

    Args:
        note: who its owner says to be, for the administrator; at most `NOTE_LENGTH` characters.
        minimum_length: of the password, in characters.
        waiting_limit: how many may wait for approval, this one included.

    Raises:
        AccountError: the name is taken or cannot be a name, or the password breaks a rule.
        RefusedError: as many wait as may.
    """
    name = account_name(name)
    obey_rules(name, password, minimum_length)
    if len(note) > NOTE_LENGTH or not (note.isprintable() and _normal(note) is not None):
        raise AccountError(f"the note should be one line of at most {NOTE_LENGTH} characters")
    return await store.accounts.add(
        name,
        await _hash(password),
        one_time=False,
        admin=False,
        waiting=True,
        note=note.strip(),
        waiting_limit=waiting_limit,
    )


@dataclass(frozen=True)
class Listed:
    """One line of a user file: a name and whether they are an administrator."""

    name: str
    admin: bool


def read_user_file(text: str) -> Sequence[Listed]:
    """Return the users that a file names, in its order.

    One a line: `alice`, or `alice admin`. Empty lines and what follows a "#" are left out.

    Raises:
        AccountError: a line is something else, or names somebody again; the message has its number.
    """
    found: dict[str, Listed] = {}
    # Not splitlines() and split(), which take some control characters for ends and blanks.
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), start=1):
        words = line.partition("#")[0].replace("\t", " ").split(" ")
        words = [word for word in words if word]
        if not words:
            continue
        if len(words) > 2 or (len(words) == 2 and words[1] not in _ROLE_WORDS):
            raise AccountError(
                f'line {number}: {_shown(line.strip())} should be a name, or a name and "admin"'
            )
        try:
            name = account_name(words[0])
        except AccountError as error:
            raise AccountError(f"line {number}: {error}") from None
        if name in found:
            raise AccountError(f"line {number}: {name!r} is there twice")
        found[name] = Listed(name, len(words) == 2 and words[1] != "member")
    return list(found.values())


@dataclass(frozen=True)
class Added:
    """An account that was added just now; the only time its password can be seen."""

    name: str
    admin: bool
    one_time_password: str


async def add_users(
    store: Store,
    listed: Sequence[Listed],
    *,
    progress: Callable[[int], None] = lambda _: None,
) -> tuple[Sequence[Added], Sequence[str]]:
    """Add those of a user file who have no account, all or none.

    Args:
        progress: told how many passwords have been made; each takes a tenth of a second.

    Returns:
        Those who were added, with their one-time passwords, which are kept nowhere; and the names
        of those who had an account, which was left as it is.

    Raises:
        AccountError: another has just been given one of the names; nothing was added.
    """
    there = {account.name for account in await store.accounts.all()}
    added: list[Added] = []
    arrivals: list[Arrival] = []
    for one in listed:
        if one.name not in there:
            password = one_time_password()
            arrivals.append(Arrival(one.name, await _hash(password), one.admin))
            added.append(Added(one.name, one.admin, password))
            progress(len(added))
    if arrivals:
        await store.accounts.add_all(arrivals)
    return added, [one.name for one in listed if one.name in there]


async def reset_password(store: Store, name: str) -> str:
    """Give an account a new one-time password and return it. The old password is void.

    Raises:
        AccountError: it cannot be a name.
        NotFoundError: there is no such account.
    """
    name = account_name(name)
    if await store.accounts.get(name) is None:
        raise NotFoundError(f"there is no user called {name!r}")
    password = one_time_password()
    await store.accounts.set_password(name, await _hash(password), one_time=True)
    return password


async def check(store: Store, name: str, password: str) -> Account | None:
    """Return the account whose password this is, else None.

    Takes as long for an account that does not exist as for a wrong password. One that waits for
    approval is returned, too: whoever asks looks at `waiting`.
    """
    try:
        account = await store.accounts.get(account_name(name))
    except AccountError:
        account = None
    if len(password) > MAXIMUM_PASSWORD_LENGTH:
        return None
    decoy = await _decoy_hash()
    right = await _matches(account.password_hash if account is not None else decoy, password)
    return account if account is not None and right else None


async def change_password(
    store: Store, account: Account, password: str, *, minimum_length: int
) -> None:
    """Give an account the password that its owner chose.

    Args:
        account: as it was when its owner proved to be its owner; whoever asks has checked that.
        minimum_length: in characters.

    Raises:
        AccountError: the password breaks a rule; the message says which.
        RefusedError: the account has another password by now, or is gone.
    """
    obey_rules(account.name, password, minimum_length)
    if await _matches(account.password_hash, password):
        raise AccountError("the new password should not be the one that you have now")
    try:
        await store.accounts.set_password(
            account.name,
            await _hash(password),
            one_time=False,
            replacing=account.password_hash,
        )
    except NotFoundError:
        raise RefusedError(
            "the password has been changed meanwhile; sign in with the new one"
        ) from None


def one_time_password() -> str:
    """Return a new password of four groups, easy to read out: "k7wm-3hnq-x2pd-9rtc"."""
    return "-".join(
        "".join(secrets.choice(_ALPHABET) for _ in range(_GROUP_LENGTH)) for _ in range(_GROUPS)
    )


def obey_rules(name: str, password: str, minimum_length: int) -> None:
    """Check a new password of an account. Raises AccountError, which says what is wrong."""
    plain = _normal(password)
    if plain is None:
        raise AccountError("the new password has characters that cannot be stored")
    if len(plain) < minimum_length:
        raise AccountError(f"the new password should have at least {minimum_length} characters")
    if len(plain) > MAXIMUM_PASSWORD_LENGTH:
        raise AccountError(
            f"the new password should have at most {MAXIMUM_PASSWORD_LENGTH} characters"
        )
    if plain.strip().lower() == name:
        raise AccountError("the new password should not be the user name")


def _meant(text: str, pattern: str, longest: int, what: str) -> str:
    stripped = text.strip(_BLANKS)
    # Before lower(), which makes ASCII of some other letters (the Kelvin sign becomes a "k").
    name = stripped.lower() if stripped.isascii() else ""
    if not re.fullmatch(pattern, name):
        raise AccountError(
            f"{_shown(text)} cannot be {what}: use 1 to {longest} of a-z, 0-9, '.', '_' and '-', "
            "beginning with a letter or a digit"
        )
    return name


def _normal(password: str) -> str | None:
    """Return a password in the one form in which all keyboards agree; None: not text at all."""
    normal = unicodedata.normalize("NFC", password)
    try:
        normal.encode()
    except UnicodeEncodeError:
        return None
    return normal


async def _hash(password: str) -> str:
    return await _in_thread(lambda: _hasher.hash(unicodedata.normalize("NFC", password)))


async def _matches(known_hash: str, password: str) -> bool:
    plain = _normal(password)

    def verify() -> bool:
        try:
            return _hasher.verify(known_hash, plain or "")
        except (VerificationError, InvalidHashError):
            return False

    return await _in_thread(verify) and plain is not None


async def _decoy_hash() -> str:
    """Return the hash of a password that nobody has, made with the settings of real ones."""
    if not _decoy:
        _decoy.append(await _hash(one_time_password()))
    return _decoy[0]


async def _in_thread(work: Callable[[], _T]) -> _T:
    return await asyncio.get_running_loop().run_in_executor(_threads, work)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "...")
