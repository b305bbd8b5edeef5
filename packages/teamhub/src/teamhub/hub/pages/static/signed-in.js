// Improves the pages of somebody who is signed in: lists that are fetched again, questions before
// what cannot be undone, copying. Without it everything can be done all the same.
"use strict";

(() => {
  // Asking in the page. Forms that come later, with a fetched list, are asked about, too.
  const dialog = document.createElement("dialog");
  dialog.className = "ask";
  dialog.setAttribute("aria-labelledby", "ask-question");
  dialog.innerHTML =
    '<form method="dialog"><p id="ask-question"></p><div class="actions">' +
    '<button class="btn btn-danger" value="yes"></button>' +
    '<button class="btn btn-outline-secondary" value="no" autofocus>Cancel</button></div></form>';
  document.body.append(dialog);
  let asked = null;
  document.addEventListener(
    "submit",
    (event) => {
      const form = event.target;
      if (!form.dataset.ask || form.dataset.agreed) {
        return;
      }
      event.preventDefault();
      event.stopImmediatePropagation();
      asked = form;
      dialog.querySelector("#ask-question").textContent = form.dataset.ask;
      dialog.querySelector('[value="yes"]').textContent = form.dataset.yes;
      dialog.returnValue = "no";
      dialog.showModal();
    },
    true,
  );
  dialog.addEventListener("close", () => {
    const form = asked;
    asked = null;
    if (form && dialog.returnValue === "yes") {
      form.dataset.agreed = "yes";
      form.requestSubmit();
    }
  });
  window.addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-agreed]")) {
      delete form.dataset.agreed;
    }
  });

  // Lists that change by themselves.
  const lists = document.querySelector("[data-refresh-from]");
  if (lists) {
    let last = "";
    let sending = false;
    document.addEventListener("submit", () => {
      sending = true;
    });
    window.addEventListener("pageshow", () => {
      sending = false;
    });
    const refresh = async () => {
      // Nothing is taken away from under somebody's hands.
      if (document.hidden || dialog.open || sending || hasSelection(lists)) {
        return;
      }
      const answer = await fetch(lists.dataset.refreshFrom, {
        redirect: "manual",
        headers: { "X-XSRFToken": window.jhdata.xsrf_token },
      });
      if (!answer.ok) {
        return;
      }
      const html = await answer.text();
      if (html === last || dialog.open || sending) {
        return;
      }
      last = html;
      const focused = lists.contains(document.activeElement) ? document.activeElement.id : "";
      const open = [...lists.querySelectorAll("details[open]")].map((details) => details.id);
      lists.innerHTML = html;
      for (const id of open) {
        document.getElementById(id)?.setAttribute("open", "");
      }
      if (focused) {
        document.getElementById(focused)?.focus({ preventScroll: true });
      }
      document.dispatchEvent(new Event("teamhub:changed"));
    };
    const seconds = Number(lists.dataset.refreshSeconds);
    setInterval(() => refresh().catch(() => {}), 1000 * seconds);
    document.addEventListener("visibilitychange", () => refresh().catch(() => {}));
  }

  function hasSelection(element) {
    const selection = window.getSelection();
    return !selection.isCollapsed && element.contains(selection.anchorNode);
  }

  // Copying. Where the browser does not let us (no HTTPS), the text is selected instead.
  for (const button of document.querySelectorAll("[data-copy]")) {
    const source = document.getElementById(button.dataset.copy);
    const label = button.firstChild;
    button.hidden = false;
    button.addEventListener("click", async () => {
      const text = source.value ?? source.textContent;
      try {
        await navigator.clipboard.writeText(text);
        label.textContent = "Copied";
      } catch {
        const range = document.createRange();
        range.selectNodeContents(source);
        window.getSelection().removeAllRanges();
        window.getSelection().addRange(range);
        label.textContent = "Selected";
      }
      setTimeout(() => {
        label.textContent = "Copy";
      }, 3000);
    });
  }

  // What has just been made is what somebody wants to read first.
  document.getElementById("made-title")?.focus();
})();
