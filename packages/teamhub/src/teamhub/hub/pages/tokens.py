"""The tokens page: personal tokens for editors and scripts, made, listed and revoked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from jupyterhub import orm
from jupyterhub.apihandlers.users import UserTokenAPIHandler
from jupyterhub.utils import utcnow
from sqlalchemy.orm import Session

from teamhub.errors import NotFoundError, RefusedError, StoreError
from teamhub.hub.pages.listing import in_utc
from teamhub.hub.pages.signed_in import SignedInPage, public_url
from teamhub.hub.process import current
from teamhub.hub.roles import GATEWAY_SCOPE

NOTE_LENGTH = 100
"""In characters."""

LIMIT = 100
"""How many personal tokens a member may have."""

_DAY_SECONDS = 24 * 3600
_EXPIRIES = (
    ("1", "1 day"),
    ("30", "30 days"),
    ("90", "90 days"),
    ("365", "1 year"),
)
_DEFAULT_EXPIRY = "90"

_MADE_BY_HAND = "jupyterhub"
"""The hub's own client: of tokens that somebody made, and of notebook servers' own."""
_SERVER_NOTE = "Server at "


@dataclass(frozen=True)
class TokenRow:
    """A token, as the page lists it."""

    id: str
    note: str
    created: datetime | None
    last_used: datetime | None
    expires: datetime | None


def personal_tokens(session: Session, user: Any) -> Sequence[TokenRow]:
    """Return the tokens that a user has made, the newest first."""
    return [_row(token) for token in _tokens(session, user) if is_personal(token)]


def other_tokens(session: Session, user: Any) -> Sequence[TokenRow]:
    """Return the tokens of a user's notebook servers and signed-in browsers, the newest first."""
    return [_row(token) for token in _tokens(session, user) if not is_personal(token)]


class TokensPage(SignedInPage):
    """A member's tokens. What one is, is seen once, when it is made."""

    actions: ClassVar[dict[str, str]] = {"create": "create", "revoke": "revoke"}

    async def show(self, *where: str, fault: str = "", token: str = "", note: str = "") -> None:
        """Write the page, with a token that has just been made."""
        await self.page(
            "token.html",
            tokens=personal_tokens(self.db, self.current_user),
            other_tokens=other_tokens(self.db, self.current_user),
            expiries=_EXPIRIES,
            expiry=(fault and self.field("expires")) or _DEFAULT_EXPIRY,
            note=(self.field("note")[: NOTE_LENGTH + 20] if fault else ""),
            note_length=NOTE_LENGTH,
            token=token,
            token_note=note,
            server_url=public_url(self.request),
            gateway_url=f"{public_url(self.request)}{self.base_url}services/gateway",
            fault=fault,
        )

    async def create(self) -> None:
        """Make a token that is good for the gateway and nothing else, and show it."""
        note, expires = self.field("note"), self.field("expires")
        if len(note) > NOTE_LENGTH or not note.isprintable():
            raise RefusedError(f"the note should be one line of at most {NOTE_LENGTH} characters")
        if expires not in dict(_EXPIRIES):
            raise RefusedError("choose for how long the token is to be good")
        if note.startswith(_SERVER_NOTE):
            raise RefusedError(f"the note should not begin with {_SERVER_NOTE!r}")
        if len(personal_tokens(self.db, self.current_user)) >= LIMIT:
            raise RefusedError(f"you have {LIMIT} tokens, which is the limit; revoke some first")
        token = self.current_user.new_api_token(
            note=note or "No note",
            expires_in=int(expires) * _DAY_SECONDS,
            scopes=[GATEWAY_SCOPE],
        )
        self.log.info("%s has made a personal token for %s days", self.name, expires)
        await self.show(token=token, note=note)

    async def revoke(self) -> None:
        """Revoke a token. The gateway forgets it at once."""
        token = self._find(self.field("token"))
        revoked = [token]
        if token.client_id != _MADE_BY_HAND:
            # A browser's sign-in to a notebook server: several tokens are one to a person.
            client = token.client_id
            revoked = [one for one in self.current_user.api_tokens if one.client_id == client]
        for one in revoked:
            self.db.delete(one)
        self.db.commit()
        self.log.info("%s has revoked their token %s", self.name, token.api_id)
        await (await self.store()).revocations.add()
        self.go_to("token", "The token has been revoked. Nothing accepts it any more.")

    def _find(self, token_id: str) -> Any:
        for token in self.current_user.api_tokens:
            if token.api_id == token_id:
                return token
        raise NotFoundError("there is no such token; it may have been revoked already")


class TokenApi(UserTokenAPIHandler):  # type: ignore[misc]
    """The hub's API for one token: the gateway hears of what is revoked here, too."""

    async def delete(self, user_name: str, token_id: str) -> None:
        """Revoke a token."""
        super().delete(user_name, token_id)
        try:
            await (await current().store()).revocations.add()
        except StoreError as error:
            self.log.warning("The gateway was not told of a revoked token: %s", error)


def _tokens(session: Session, user: Any) -> Sequence[Any]:
    moment = utcnow(with_tz=False)
    query = session.query(orm.APIToken).filter(orm.APIToken.user_id == user.orm_user.id)
    found = [one for one in query if one.expires_at is None or one.expires_at > moment]
    return sorted(found, key=lambda token: token.id, reverse=True)


def is_personal(token: Any) -> bool:
    """Return whether somebody has made one of the hub's tokens by hand, for themselves."""
    return (
        token.client_id == _MADE_BY_HAND
        and not token.session_id
        and not (token.note or "").startswith(_SERVER_NOTE)
    )


def _row(token: Any) -> TokenRow:
    client = token.oauth_client
    note = token.note or ""
    if token.client_id != _MADE_BY_HAND and client is not None:
        note = f"Browser signed in to: {client.description or client.identifier}"
    return TokenRow(
        id=token.api_id,
        note=note,
        created=in_utc(token.created),
        last_used=in_utc(token.last_activity),
        expires=in_utc(token.expires_at),
    )
