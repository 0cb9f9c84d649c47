// @ts-check
// The menu of the signed-in user: presence and status, colours, a second window, the way out.
import { h, icon, onSubmit } from "../dom.js";
import { t } from "../strings.js";
import { applyTheme, theme, THEMES } from "../theme.js";
import { STEPS } from "./menu.js";

/** @typedef {import("../app.js").App} App */

const STATES = /** @type {const} */ (["online", "away"]);
const LONGEST = 140; // code points of a status, as the protocol has it

/** @param {App} app */
export function ownMenu(app) {
  const other = app.user === "bob" ? "alice" : "bob";
  const menu = h(
    "details",
    { id: "own-menu" },
    h("summary", { "aria-label": t.ownMenu, title: t.ownMenu }, icon("ellipsis")),
    h(
      "div",
      { class: "panel" },
      presenceField(app),
      statusForm(app, () => (menu.open = false)),
      themeField(),
      h("a", { id: "second", href: `/?user=${other}`, target: "_blank", rel: "noopener" }, t.secondWindow(other)),
      h("button", { type: "button", "data-action": "sign-out", id: "sign-out" }, icon("log-out"), t.signOut),
    ),
  );
  closesItself(menu);
  return menu;
}

/** @param {App} app */
function presenceField(app) {
  const field = h("select", { id: "presence" });
  for (const one of STATES) field.append(h("option", { value: one }, t.presences[one]));
  field.addEventListener("change", () => {
    const chosen = STATES[field.selectedIndex];
    if (chosen) void app.order(app.client.setPresence(chosen));
  });
  app.draws(() => {
    if (document.activeElement !== field) field.value = app.ownPresence?.state === "away" ? "away" : "online";
  });
  return h("label", {}, t.presence, field);
}

/** @param {App} app @param {() => void} done */
function statusForm(app, done) {
  const field = h("input", { name: "status", placeholder: t.statusHint, autocomplete: "off" });
  const form = h(
    "form",
    { id: "status-form" },
    h("label", {}, t.statusText, h("span", { class: "row" }, field, h("button", {}, t.save))),
  );
  onSubmit(form, ({ status = "" }) => {
    const text = status.trim();
    const { length } = Array.from(text);
    if (length > LONGEST) return app.complain(t.longName(LONGEST, length));
    const state = app.ownPresence?.state === "away" ? "away" : "online";
    void app.order(app.client.setPresence(state, text || null)).then((isDone) => {
      if (!isDone) return;
      app.toast(text ? t.statusSaved : t.statusCleared);
      done();
    });
  });
  app.draws(() => {
    if (document.activeElement !== field) field.value = app.ownPresence?.status_text ?? "";
  });
  return form;
}

function themeField() {
  const field = h("select", { id: "theme" });
  for (const one of THEMES) field.append(h("option", { value: one, selected: one === theme() }, t.themes[one]));
  field.addEventListener("change", () => applyTheme(THEMES[field.selectedIndex]));
  return h("label", {}, t.theme, field);
}

/** Escape and a click elsewhere close a <details>. @param {HTMLDetailsElement} menu */
function closesItself(menu) {
  document.addEventListener("click", ({ target }) => {
    // A dialogue that the menu opened lies above it.
    if (target instanceof Element && !menu.contains(target) && !target.closest("dialog")) menu.open = false;
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    event.preventDefault(); // wherever focus went
    event.stopPropagation();
    menu.open = false;
    menu.querySelector("summary")?.focus();
  }, { capture: true });
  menu.addEventListener("keydown", (event) => menu.open && step(menu, event));
}

/** Arrow keys, Home and End lead from one to the next, but in a field, which uses them itself.
 * @param {HTMLElement} menu @param {KeyboardEvent} event */
function step(menu, event) {
  const to = STEPS[event.key];
  if (!to || (event.target instanceof Element && event.target.matches("input, select"))) return;
  /** @type {NodeListOf<HTMLElement>} */
  const all = menu.querySelectorAll("summary, select, input, a, button");
  const now = [...all].findIndex((one) => one === event.target);
  [...all].at(to(now, all.length) % all.length)?.focus();
  event.preventDefault();
}
