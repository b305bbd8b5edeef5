"""What is done for every request: its id, its line in the log, what errors look like, who asks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping
from http import HTTPStatus
from time import monotonic

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from teamhub import request_id
from teamhub.errors import NotFoundError, RefusedError, StoreError, TeamhubError
from teamhub.gateway import schemas
from teamhub.gateway.access import Access, HubAwayError, UnknownTokenError
from teamhub.gateway.bodies import BadRequestError, TooLargeError
from teamhub.gateway.openapi import HEADER_BYTES, URL_CHARACTERS
from teamhub.gateway.routes import CALLER, TOKEN
from teamhub.logs import about

log = logging.getLogger("teamhub.gateway")

REQUEST_ID = "X-Request-Id"
_ID_CHARACTERS = 64
_PATH_CHARACTERS = 256
"""Of a path in the log: ours are shorter, and a stranger's fill no disk."""
_PROBES = ("/healthz", "/readyz")

_STATUS: tuple[tuple[type[TeamhubError], HTTPStatus], ...] = (
    (BadRequestError, HTTPStatus.BAD_REQUEST),
    (TooLargeError, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (UnknownTokenError, HTTPStatus.FORBIDDEN),
    (NotFoundError, HTTPStatus.NOT_FOUND),
    (RefusedError, HTTPStatus.CONFLICT),
    (HubAwayError, HTTPStatus.SERVICE_UNAVAILABLE),
    (StoreError, HTTPStatus.SERVICE_UNAVAILABLE),
)


@web.middleware
async def logged(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request its id, and a line in the log when it is over."""
    began = monotonic()
    request_id.begin()
    theirs = request_id.foreign(request.headers.get(REQUEST_ID))
    status = 499  # the client went away
    try:
        response = await handler(request)
        status = response.status
        return response
    finally:
        caller = request.get(CALLER)
        # Whoever probes it does so all the time.
        probed = status == HTTPStatus.OK and request.path.endswith(_PROBES)
        log.log(
            logging.DEBUG if probed else logging.INFO,
            "%s %s %d %s %.0f ms",
            request.method,
            _path(request),
            status,
            caller.name if caller else "-",
            1000 * (monotonic() - began),
            extra={"client_request_id": theirs, **_fields(request)},
        )


@web.middleware
async def about_request(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Have all that is logged meanwhile say whose request it is for, and about which kernel."""
    with about(**_fields(request)):
        return await handler(request)


def errors(description: str) -> Middleware:
    """Return what turns an error into a Problem.

    Args:
        description: the address of the gateway's description, for those who are lost.
    """

    @web.middleware
    async def told(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except TeamhubError as error:
            status = next((s for kind, s in _STATUS if isinstance(error, kind)), None)
            status = status or HTTPStatus.INTERNAL_SERVER_ERROR
            return problem(status, str(error))
        except web.RequestPayloadError:
            answer = problem(
                HTTPStatus.BAD_REQUEST, "the body is cut short, or not encoded as its headers say"
            )
            # What follows on the connection is no request, and there is nothing to wait for.
            answer.force_close()
            request.content.feed_eof()
            return answer
        except web.HTTPMethodNotAllowed as error:
            methods = ", ".join(sorted(error.allowed_methods))
            answer = problem(
                HTTPStatus.METHOD_NOT_ALLOWED, f"{error.method} is not possible here; {methods} are"
            )
            answer.headers["Allow"] = methods
            return answer
        except web.HTTPNotFound:
            return problem(
                HTTPStatus.NOT_FOUND,
                f"there is nothing at {_path(request)}; {description} says what there is",
            )
        except web.HTTPException as error:
            if error.status < 400:
                raise
            return problem(HTTPStatus(error.status), error.text or error.reason)
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception:
            log.exception("%s %s failed", request.method, _path(request))
            return problem(
                HTTPStatus.INTERNAL_SERVER_ERROR, "a fault in the gateway; its log has the details"
            )

    return told


@web.middleware
async def short(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what is longer than any client of ours makes it, in words."""
    if len(request.raw_path) > URL_CHARACTERS:
        return problem(
            HTTPStatus.REQUEST_URI_TOO_LONG,
            f"the address should have at most {URL_CHARACTERS} characters",
        )
    for name, value in request.raw_headers:
        if len(name) + len(value) > HEADER_BYTES:
            return problem(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                f"the header {_ascii(name[:40].decode('latin-1'))} should have "
                f"at most {HEADER_BYTES} bytes",
            )
    return await handler(request)


def callers(access: Access, open_to_all: Collection[str]) -> Middleware:
    """Return what asks for a token, and finds out whose it is.

    Args:
        access: knows.
        open_to_all: the paths that need none.
    """

    @web.middleware
    async def known(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path not in open_to_all:
            token = token_of(request)
            request[TOKEN] = token
            request[CALLER] = await access.caller(token)
        return await handler(request)

    return known


async def name(_request: web.Request, answer: web.StreamResponse) -> None:
    """Put the request's id on its answer; also on one that came before the middlewares."""
    answer.headers[REQUEST_ID] = request_id.current() or request_id.begin()


def _fields(request: web.Request) -> Mapping[str, str]:
    caller = request.get(CALLER)
    if caller is None:
        return {}  # of a stranger nothing is believed
    return {
        "user": caller.name,
        "kernel_id": request.match_info.get("kernel_id", "")[:_ID_CHARACTERS],
    }


def token_of(request: web.Request) -> str:
    """Return the token that a request carries, empty where it has none."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() in {"token", "bearer"} and value.strip():
        return value.strip()
    return request.query.get("token", "")


def problem(status: HTTPStatus, message: str) -> web.Response:
    """Return an error as Jupyter clients expect it, with the id of the present request."""
    said: schemas.Problem = {
        "message": " ".join(message.split()),
        "reason": status.phrase,
        "code": int(status),
        "request_id": request_id.current(),
    }
    return web.json_response(said, status=int(status))


def _path(request: web.Request) -> str:
    # The path alone, as it came: a query may hold a token, and %0A would begin a line.
    return _ascii(request.rel_url.raw_path[:_PATH_CHARACTERS])


def _ascii(text: str) -> str:
    return text.encode("ascii", "backslashreplace").decode()
