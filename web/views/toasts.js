// @ts-check
// What happened, for some seconds, or until a click or Escape.
import { h, icon, iconButton, onClick, update } from "../dom.js";
import { focus } from "../keyboard.js";
import { t } from "../strings.js";

/** @typedef {import("../app.js").App} App */

/** @param {App} app */
export function toastsView(app) {
  const { toasts } = app;
  const root = h("div", { id: "toasts", role: "status", "aria-live": "polite" });
  /** Where focus was before it came here. @type {EventTarget | null} */
  let before = null;
  root.addEventListener("focusin", ({ relatedTarget }) => {
    if (!(relatedTarget instanceof Node && root.contains(relatedTarget))) before = relatedTarget;
  });
  // A finger that has left still hovers.
  toasts.isHeld = () => root.matches(matchMedia("(hover: hover)").matches ? ":hover, :focus-within" : ":focus-within");
  onClick(root, {
    act: ({ dataset }) => toasts.close(Number(dataset.toast), true),
    close: ({ dataset }) => toasts.close(Number(dataset.toast)),
  });
  app.draws(() => {
    const hadFocus = root.contains(document.activeElement);
    update(root, toasts.shown.map(toastItem));
    if (!hadFocus || root.contains(document.activeElement)) return;
    if (before instanceof HTMLElement && before.isConnected) before.focus();
    else focus(app.ui.value.room ? "#compose textarea" : "#search");
  });
  return root;
}

/** A click anywhere on it closes it; the button is for the keyboard. @param {import("../toasts.js").Toast} toast */
function toastItem({ id, text, action, isError }) {
  const close = { "data-action": "close", "data-toast": id };
  return h(
    "div",
    { class: isError ? "toast failure" : "toast", role: isError && "alert", "data-key": id, ...close },
    isError && icon("circle-alert"),
    h("span", {}, text),
    action !== undefined && h("button", { type: "button", "data-action": "act", "data-toast": id }, action),
    iconButton("x", t.close, close),
  );
}
