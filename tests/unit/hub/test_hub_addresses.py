"""Where a request came from, and the address by which its browser knows us."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from teamhub.config import Config, ProxySettings
from teamhub.deployment import Deployment
from teamhub.hub.address import address_of
from teamhub.hub.assemble import assemble
from teamhub.hub.pages.signed_in import public_url
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine


def request(headers: dict[str, str], *trusted: str) -> HTTPServerRequest:
    """A request that our proxy hands on, and what the hub was told to trust."""
    context = SimpleNamespace(
        trusted_downstream=list(trusted), remote_ip="127.0.0.1", protocol="http"
    )
    connection = SimpleNamespace(context=context)
    return HTTPServerRequest(
        start_line=RequestStartLine("GET", "/", "HTTP/1.1"),
        headers=HTTPHeaders({"Host": "hub.example.org"} | headers),
        connection=connection,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("forwarded", "trusted", "address"),
    [
        ("10.1.2.3", (), "10.1.2.3"),
        ("6.6.6.6, 10.1.2.3", (), "10.1.2.3"),
        ("10.1.2.3, 127.0.0.1", ("127.0.0.1",), "10.1.2.3"),
        ("10.1.2.3, ::ffff:127.0.0.1", ("127.0.0.1",), "10.1.2.3"),
        ("6.6.6.6, 10.1.2.3, 192.168.0.9", ("127.0.0.1", "192.168.0.9"), "10.1.2.3"),
        ("10.1.2.3, 127.0.0.1", (), "127.0.0.1"),
        ("", (), "127.0.0.1"),
    ],
)
def test_only_what_a_trusted_server_saw_is_believed(
    forwarded: str, trusted: tuple[str, ...], address: str
) -> None:
    assert address_of(request({"X-Forwarded-For": forwarded}, *trusted)) == address


@pytest.mark.parametrize(
    ("protocols", "url"),
    [
        ("http", "http://hub.example.org"),
        # A server that adds TLS said https; our own proxy, which it asked plainly, added http.
        ("https,http", "https://hub.example.org"),
    ],
)
def test_an_address_to_copy_is_the_one_that_the_browser_has(protocols: str, url: str) -> None:
    assert public_url(request({"X-Forwarded-Proto": protocols})) == url


def test_the_hub_is_told_whom_to_trust(tmp_path: Path) -> None:
    proxy = ProxySettings.model_validate({"trusted_addresses": ["127.0.0.1", "::1"]})
    deployment = Deployment(Config(data_dir=tmp_path, proxy=proxy))
    deployment.prepare()
    hub = assemble(deployment)["JupyterHub"]
    assert hub["trusted_downstream_ips"] == ["127.0.0.1", "::1"]
