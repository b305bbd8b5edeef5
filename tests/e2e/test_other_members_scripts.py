"""A page of another member's, opened in a browser that has signed in: it has our origin.

What a member's notebook server answers is what its member likes; the stand-in is a page that
Chromium is given in place of that answer. It does not prove what a service worker could do.
"""

from __future__ import annotations

from typing import Any

import pytest
from browser import lab_is_up, new_page
from playwright.async_api import Browser, Page, Route
from signed_in import SignedIn

pytestmark = [pytest.mark.browser, pytest.mark.node]

_FETCH = """async ([url, mode]) => {
  try {
    const answer = await fetch(url, { mode });
    return await answer.text();
  } catch (error) {
    return String(error);
  }
}"""
_OPEN = """async (url) => {
  const other = window.open(url);
  const deadline = Date.now() + 20000;
  while (Date.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    if (other.closed) return "closed";
    try {
      if (other.location.href !== "about:blank" && other.document.readyState === "complete") {
        return other.document.documentElement.outerHTML;
      }
    } catch (error) {
      return "closed"; // just being taken away from us
    }
  }
  return "neither";
}"""
_SOCKET = """async (url) => await new Promise((resolve) => {
  const socket = new WebSocket(url);
  socket.onopen = () => resolve("open");
  socket.onclose = () => resolve("closed");
})"""
_TERMINAL = """async () => {
  const config = JSON.parse(document.getElementById("jupyter-config-data").textContent);
  const answer = await fetch(`${config.baseUrl}api/terminals`, {
    method: "POST",
    headers: { Authorization: `token ${config.token}` },
  });
  return (await answer.json()).name;
}"""


async def mallorys(page: Page, url: str) -> None:
    """Have a browser show a page that mallory has made."""

    async def answer(route: Route) -> None:
        await route.fulfill(
            body="<!doctype html><title>mallory's</title>", content_type="text/html"
        )

    await page.route("**/user/mallory/**", answer)
    await page.goto(f"{url}/user/mallory/page")


async def test_it_gets_hold_of_nothing(
    browser: Browser, alice_and_bob: tuple[SignedIn, SignedIn]
) -> None:
    alice = alice_and_bob[0]
    own = await new_page(browser, alice.storage_state)
    await own.goto(f"{alice.server.url}/user/{alice.name}/lab?reset")
    await lab_is_up(own)
    config: dict[str, Any] = await own.evaluate(
        'JSON.parse(document.getElementById("jupyter-config-data").textContent)'
    )
    token = config["token"]
    terminal = await own.evaluate(_TERMINAL)
    page = await own.context.new_page()
    await mallorys(page, alice.server.url)
    for url in ("/hub/home", "/hub/token", "/hub/api/user", f"/user/{alice.name}/lab"):
        for mode in ("cors", "no-cors", "same-origin"):
            said = await page.evaluate(_FETCH, [url, mode])
            assert f"Signed in as {alice.name}" not in said
            assert token not in said
            assert '"kind"' not in said
    for url in ("/hub/home", f"/user/{alice.name}/lab"):
        assert await page.evaluate(_OPEN, url) == "closed"
    socket = f"ws{alice.server.url.removeprefix('http')}/user/{alice.name}"
    socket = f"{socket}/terminals/websocket/{terminal}"
    assert await page.evaluate(_SOCKET, socket) == "closed"
    # As JupyterLab itself does.
    assert await own.evaluate(_SOCKET, f"{socket}?token={token}") == "open"
