"""One call to the gateway's REST interface, with errors that a person can read."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import secrets
from typing import Any
from urllib.parse import quote

from jupyter_server.gateway.gateway_client import GatewayClient
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPResponse
from tornado.simple_httpclient import HTTPStreamClosedError, HTTPTimeoutError
from tornado.web import HTTPError

PATIENCE_SECONDS = (0.1, 0.2, 0.4, 0.8)
"""The pauses after which a gateway that refuses connections (it restarts) is tried again."""

REQUEST_ID = "X-Request-Id"
"""Of the gateway's answer it is its own id, which is in its log; of a request it is ours, which it
writes beside that."""

_REASON = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.-]{0,80}")


class GatewayError(HTTPError):
    """The gateway said no, or could not be asked. Its text is one line for a person.

    A gateway that cannot be reached is a 503, so that clients try again by themselves.
    """

    def __init__(self, status_code: int, message: str, reason: str | None = None) -> None:
        # The reason also becomes the phrase of the HTTP status line.
        phrase = reason if reason and _REASON.fullmatch(reason) else None
        super().__init__(status_code, " ".join(message.split()), reason=phrase)
        self.message = message

    def __str__(self) -> str:
        return self.message


def url_of(*parts: str) -> str:
    """Return the URL of `parts` below the gateway's, each escaped as one path segment."""
    return "/".join([_where(), *(quote(part, safe="") for part in parts)])


async def call(
    method: str,
    *parts: str,
    body: dict[str, Any] | None = None,
    timeout_seconds: float | None = None,
) -> Any:
    """Ask the gateway for `parts` and return the JSON of its answer, None for an empty one.

    It has `timeout_seconds` to answer, by default as long as is configured.

    Raises:
        GatewayError: with the gateway's own status and words, or 503 if it cannot be reached.
    """
    response = await fetch(method, *parts, body=body, timeout_seconds=timeout_seconds)
    if not response.body:
        return None
    try:
        return json.loads(response.body)
    except ValueError as error:
        raise GatewayError(503, f"The kernel gateway at {_where()} sent no JSON") from error


async def fetch(
    method: str,
    *parts: str,
    body: dict[str, Any] | None = None,
    timeout_seconds: float | None = None,
) -> HTTPResponse:
    """Ask the gateway for `parts` and return its whole answer.

    Nothing is asked twice that may have had an effect: only refused connections are tried
    again, and GET when the gateway went away in between.

    Raises:
        GatewayError: with the gateway's own status and words, or 503 if it cannot be reached.
    """
    arguments = connection_arguments()
    if timeout_seconds is not None:
        arguments["request_timeout"] = timeout_seconds
    if method not in {"GET", "DELETE"}:
        arguments["headers"]["Content-Type"] = "application/json"
        arguments["body"] = json.dumps(body or {})
    ours = arguments["headers"][REQUEST_ID]
    for pause_seconds in (*PATIENCE_SECONDS, None):
        try:
            response = await AsyncHTTPClient().fetch(url_of(*parts), method=method, **arguments)
            _tell(method, parts, ours, response)
            return response
        except ConnectionRefusedError as error:
            fault: Exception = error
        except HTTPStreamClosedError as error:
            fault = error
            if method != "GET":
                break
        except HTTPTimeoutError as error:
            raise GatewayError(
                503, f"The kernel gateway at {_where()} did not answer in time; try again"
            ) from error
        except HTTPClientError as error:
            _tell(method, parts, ours, error.response)
            raise _as_said(error) from error
        except OSError as error:
            fault = error
            break
        if pause_seconds is not None:
            await asyncio.sleep(pause_seconds)
    _tell(method, parts, ours, None)
    raise GatewayError(
        503,
        f"The kernel gateway at {_where()} cannot be reached ({_words(fault)}); "
        "kernels go on running, try again in a moment",
    ) from fault


def connection_arguments() -> dict[str, Any]:
    """Return what every request to the gateway carries: the token, the timeouts, certificates.

    And an id for it, as the header REQUEST_ID: another with each call.
    """
    client = GatewayClient.instance()
    arguments: dict[str, Any] = client.load_connection_args()  # type: ignore[no-untyped-call]
    arguments["headers"] = {**arguments["headers"], REQUEST_ID: secrets.token_hex(8)}
    return arguments


def said(error: HTTPClientError) -> dict[str, Any] | None:
    """Return the JSON object that came with an error, None where none came."""
    if error.response is None or not error.response.body:
        return None
    try:
        answer = json.loads(error.response.body)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


def _as_said(error: HTTPClientError) -> GatewayError:
    answer = said(error) or {}
    status = error.code if 400 <= error.code < 599 else 503
    message = answer.get("message") or f"The kernel gateway at {_where()} answered {error.code}"
    reason = answer.get("reason")
    if status >= 500 and answer.get("request_id"):
        message = f"{message} (request {answer['request_id']})"
    return GatewayError(status, str(message), str(reason) if reason else None)


def _tell(method: str, parts: tuple[str, ...], ours: str, answer: HTTPResponse | None) -> None:
    """Log what was asked and answered, by both names that it has."""
    # Pages ask for the same lists again and again; what changes something, or fails, is told.
    dull = method == "GET" and answer is not None and answer.code < 400
    GatewayClient.instance().log.log(
        logging.DEBUG if dull else logging.INFO,
        "Gateway: %s /%s %s request_id=%s client_request_id=%s",
        method,
        "/".join(quote(part, safe="") for part in parts),
        answer.code if answer is not None else "no answer",
        answer.headers.get(REQUEST_ID, "-") if answer is not None else "-",
        ours,
    )


def _words(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, HTTPStreamClosedError):
        return "connection lost"
    return str(error) or type(error).__name__


def _where() -> str:
    return str(GatewayClient.instance().url)
