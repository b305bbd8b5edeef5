// Improves pages that work without it: nothing here is needed to do anything.
"use strict";

(() => {
  const root = document.documentElement;

  // JupyterHub's own darkmode.js switches; here is what says so to those who do not see it.
  const toggle = document.getElementById("dark-theme-toggle");
  if (toggle) {
    const show = () =>
      toggle.setAttribute("aria-pressed", String(root.dataset.bsTheme === "dark"));
    new MutationObserver(show).observe(root, { attributeFilter: ["data-bs-theme"] });
    show();
  }

  // A browser counts this machine's own addresses as secure, and HTTPS.
  if (!window.isSecureContext) {
    for (const warning of document.querySelectorAll("[data-insecure]")) {
      warning.hidden = false;
    }
  }

  // Passwords can be looked at. The button is made here, since it does nothing without JavaScript.
  for (const input of document.querySelectorAll("input[data-reveal]")) {
    const label = document.querySelector(`label[for="${input.id}"]`);
    const group = document.createElement("div");
    group.className = "reveal";
    input.replaceWith(group);
    const button = document.createElement("button");
    button.type = "button";
    button.className = "reveal-button";
    button.textContent = "Show";
    button.setAttribute("aria-pressed", "false");
    button.setAttribute("aria-label", `Show: ${label ? label.textContent.trim() : "password"}`);
    button.addEventListener("click", () => {
      const shown = input.type === "password";
      input.type = shown ? "text" : "password";
      button.textContent = shown ? "Hide" : "Show";
      button.setAttribute("aria-pressed", String(shown));
    });
    group.append(input, button);
    if (input.autofocus) {
      input.focus();
    }
    // Password managers look for passwords when the form is sent.
    input.form?.addEventListener("submit", () => {
      input.type = "password";
    });
  }

  // Sending once.
  for (const form of document.querySelectorAll("form[data-once]")) {
    form.addEventListener("submit", (event) => {
      if (form.dataset.sent) {
        event.preventDefault();
        return;
      }
      form.dataset.sent = "yes";
      form.setAttribute("aria-busy", "true");
    });
  }
  // A page that a browser takes out of its memory, by "back", can be sent again.
  window.addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) {
      delete form.dataset.sent;
      form.removeAttribute("aria-busy");
    }
  });

  // A field is wrong until it is changed.
  for (const input of document.querySelectorAll("[aria-invalid]")) {
    input.addEventListener("input", () => input.removeAttribute("aria-invalid"), { once: true });
  }

  // "5 minutes ago" instead of a moment, which stays as the title.
  const words = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
  const units = [
    ["year", 31_536_000],
    ["month", 2_592_000],
    ["day", 86_400],
    ["hour", 3600],
    ["minute", 60],
  ];
  const relate = () => {
    for (const time of document.querySelectorAll("time[data-relative]")) {
      const moment = new Date(time.dateTime);
      const seconds = (moment.getTime() - Date.now()) / 1000;
      const unit = units.find(([, size]) => Math.abs(seconds) >= size);
      time.title = moment.toLocaleString();
      time.textContent = unit
        ? words.format(Math.trunc(seconds / unit[1]), unit[0])
        : seconds > 0 ? "in a moment" : "just now";
    }
  };
  relate();
  setInterval(relate, 30_000);
  // For pages that fetch rows of their own.
  document.addEventListener("teamhub:changed", relate);
})();
