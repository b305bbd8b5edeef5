"""The description says what there is, all of it, and the limits that really are."""

from __future__ import annotations

import re
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from gateway_rig import GatewayRig, Member
from teamhub.gateway.app import BASE
from teamhub.gateway.openapi import Operation, describe


async def description(client: TestClient[Any, Any]) -> Any:
    async with client.get(f"{BASE}/api/spec.json") as answer:
        assert answer.status == 200
        return await answer.json()


def operations_of(spec: Any) -> dict[tuple[str, str], Any]:
    return {
        (method.upper(), path): operation
        for path, methods in spec["paths"].items()
        for method, operation in methods.items()
    }


async def test_every_route_is_described_and_everything_described_is_a_route(
    client: TestClient[Any, Any],
) -> None:
    app = client.server.app  # type: ignore[attr-defined]
    routes = {
        (route.method, route.resource.canonical.removeprefix(BASE))
        for route in app.router.routes()
        if route.method != "HEAD"  # which is answered where GET is
    }
    assert set(operations_of(await description(client))) == routes
    assert len(routes) > 20


async def test_whatever_is_described_is_described_in_words(client: TestClient[Any, Any]) -> None:
    spec = await description(client)
    operations = operations_of(spec)
    ids = [operation["operationId"] for operation in operations.values()]
    assert len(set(ids)) == len(ids)
    for where, operation in operations.items():
        assert operation["summary"].endswith("."), where
        assert {tag["name"] for tag in spec["tags"]} >= set(operation["tags"])
        named = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
        assert named == set(re.findall(r"{(\w+)}", where[1])), where
        assert all(each["description"] for each in operation["parameters"])
        for answer in operation["responses"].values():
            for link in answer.get("links", {}).values():
                assert link["operationId"] in ids
    for name, schema in spec["components"]["schemas"].items():
        assert schema["description"], name


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(references(each) for each in value.values()))
    if isinstance(value, list):
        return set().union(*(references(each) for each in value))
    return set()


async def test_all_that_is_referred_to_is_there(client: TestClient[Any, Any]) -> None:
    spec = await description(client)
    for reference in references(spec):
        at = spec
        for step in reference.removeprefix("#/").split("/"):
            at = at[step]


async def test_what_needs_a_token_says_so(client: TestClient[Any, Any]) -> None:
    for (method, path), operation in operations_of(await description(client)).items():
        at = BASE + re.sub(r"{\w+}", "x", path)
        async with client.request(method, at) as answer:
            assert (answer.status == 403) == bool(operation["security"]), path
            assert str(answer.status) in operation["responses"], path


def strings(spec: Any, schema: Any, at: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], int]]:
    """Every limited text in a schema: where it is, and its limit."""
    if "$ref" in schema:
        schema = spec["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    found = [(at, schema["maxLength"])] if "maxLength" in schema else []
    for each in schema.get("anyOf", ()):
        found += strings(spec, each, at)
    for name, each in schema.get("properties", {}).items():
        found += strings(spec, each, (*at, name))
    return found


async def test_the_limits_are_those_that_hold(ada: Member, rig: GatewayRig) -> None:
    spec = await description(ada._client)
    _, session = await ada.ask("POST", "/api/sessions", {"path": "own", "kernel": {}})
    tried = 0
    for (method, path), operation in operations_of(spec).items():
        if "requestBody" not in operation:
            continue
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        for where, limit in strings(spec, schema):
            for more, refused in ((0, False), (1, True)):
                value: Any = "x" * (limit + more)
                for name in reversed(where):
                    value = {name: value}
                before = await rig.kernels()
                status, said = await ada.ask(
                    method,
                    path.replace("{session_id}", session["id"]),
                    {"path": "own", **value},
                )
                told = status == 400 and f"at most {limit}" in said["message"]
                assert told == refused, (method, path, where, status, said)
                if refused:
                    assert said["message"].startswith(".".join(where) + ":")
                    assert await rig.kernels() == before
                tried += 1
    assert tried >= 2 * 10
    for length, status in ((255, 400), (256, 400)):
        at = f"/api/kernels/{session['kernel']['id']}/channels?session_id={'x' * length}"
        told, said = await ada.ask("GET", at)
        assert told == status
        assert ("at most 255" in said["message"]) == (length == 256)


def test_a_description_is_made_from_the_handler() -> None:
    async def pour(_request: web.Request) -> web.Response:
        """Pour tea.

        Into the cup
        that is there.
        """
        return web.Response()

    spec = describe([Operation("POST", "/tea", pour, "server", {204: None})], "/base")
    found = spec["paths"]["/tea"]["post"]
    assert (found["summary"], found["description"]) == ("Pour tea.", "Into the cup that is there.")
    assert spec["servers"][0]["url"] == "/base"
    assert set(found["responses"]) == {"204", "403", "414", "431", "503"}


@pytest.mark.parametrize("path", ["/api/spec.json", "/api/spec.yaml"])
async def test_anybody_may_read_it(client: TestClient[Any, Any], path: str) -> None:
    async with client.get(BASE + path) as answer:
        assert answer.status == 200
        assert '"openapi": "3.1.0"' in await answer.text()
