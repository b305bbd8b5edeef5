"""The kernel API, from the gateway's own OpenAPI description."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from typing import Any

from aiohttp.test_utils import make_mocked_request
from teamhub.deployment import Deployment
from teamhub.gateway import app
from teamhub.gateway.access import Access
from teamhub.gateway.link import Keys
from teamhub.store import Store

from reference import scratch
from reference.markdown import code, heading, plain, table

SPEC = f"{app.BASE}/api/spec.json"
"""Where a running gateway serves the description."""


def description() -> Mapping[str, Any]:
    """Return the OpenAPI description that a gateway with these settings serves."""
    with scratch.deployment() as deployment:
        return asyncio.run(_served(deployment))


async def _served(deployment: Deployment) -> Any:
    config = deployment.config
    access = Access("http://127.0.0.1:1/hub/api", "", 1, 1)
    secrets = deployment.secrets()
    keys = Keys(secrets.gateway_public_key, secrets.gateway_secret_key)
    application = app.create(config, Store.of(deployment), access, keys)
    request = make_mocked_request("GET", SPEC)
    resolved = await application.router.resolve(request)
    answer: Any = await resolved.handler(request)
    return json.loads(answer.text)


def operations(spec: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield method, path and operation of all that is described, in its order."""
    for path, methods in spec["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def page() -> str:
    """Return what the API answers, by the description's own chapters."""
    spec = description()
    parts = [spec["info"]["description"], "", _problems(spec)]
    for tag in spec["tags"]:
        parts += [heading(tag["name"].title(), 2, f"api-{tag['name']}")]
        parts += [plain(tag["description"]) + "\n"]
        for method, path, operation in operations(spec):
            if tag["name"] in operation["tags"]:
                parts.append(_operation(method, path, operation))
    parts += [heading("What is sent and answered", 2, "api-schemas")]
    parts += [_schema(name, schema) for name, schema in spec["components"]["schemas"].items()]
    return "\n".join(parts)


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> str:
    parts = [heading(code(f"{method} {path}"), 3), plain(operation["summary"]) + "\n"]
    if "description" in operation:
        parts.append(plain(operation["description"]) + "\n")
    if not operation["security"]:
        parts.append("It needs no token.\n")
    rows = [
        (code(each["name"]), each["in"], plain(each["description"]))
        for each in operation["parameters"]
    ]
    if rows:
        parts.append(table(("parameter", "in", "what"), rows))
    if "requestBody" in operation:
        body = operation["requestBody"]["content"]["application/json"]["schema"]
        parts.append(f"Body: {_type(body)}.\n")
    answers = sorted(operation["responses"].items())
    rows = [(status, _answer(answer)) for status, answer in answers if "$ref" not in answer]
    problems = ", ".join(status for status, answer in answers if "$ref" in answer)
    rows.append((problems, "[Problem](#schema-problem)"))
    parts.append(table(("status", "answer"), rows))
    return "\n".join(parts)


def _answer(answer: Mapping[str, Any]) -> str:
    kinds = [
        _type(content["schema"]) if content.get("schema") else code(name)
        for name, content in answer.get("content", {}).items()
    ]
    return f"{plain(answer['description'])} {', '.join(kinds)}"


def _problems(spec: Mapping[str, Any]) -> str:
    """What each status of 400 and more means, wherever it comes."""
    means = {
        status: spec["components"]["responses"][answer["$ref"].rpartition("/")[2]]["description"]
        for _, _, operation in operations(spec)
        for status, answer in operation["responses"].items()
        if "$ref" in answer
    }
    return table(("status", "what it means"), [(s, plain(t)) for s, t in sorted(means.items())])


def _schema(name: str, schema: Mapping[str, Any]) -> str:
    needed = set(schema.get("required", ()))
    rows = [
        (
            code(field),
            _type(each),
            plain(each.get("description", "")) + ("" if field in needed else " May be left out."),
        )
        for field, each in schema.get("properties", {}).items()
    ]
    return "\n".join(
        [
            heading(code(name), 3, f"schema-{name.lower()}"),
            plain(schema.get("description", "")) + "\n",
            table(("field", "type", "what"), rows),
        ]
    )


def _type(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#schema-{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_type(each) for each in schema["anyOf"]))
    if "enum" in schema:
        return " or ".join(code(str(each)) for each in schema["enum"])
    if schema.get("type") == "array":
        return f"a list of {_type(schema.get('items', {}))}"
    if schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        return f"an object of {_type(schema['additionalProperties'])}"
    return str(schema.get("type", "anything"))
