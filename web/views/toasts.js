// @ts-check
// What happened, for some seconds.
import { h, iconButton, onClick, update } from "../dom.js";
import { t } from "../strings.js";

/** @typedef {import("../app.js").App} App */

/** @param {App} app */
export function toastsView(app) {
  const root = h("div", { id: "toasts", role: "status", "aria-live": "polite" });
  onClick(root, {
    act: ({ dataset }) => app.closeToast(Number(dataset.toast), true),
    close: ({ dataset }) => app.closeToast(Number(dataset.toast)),
  });
  app.draws(() =>
    update(
      root,
      app.ui.value.toasts.map(({ id, text, action }) =>
        h(
          "div",
          { class: "toast", "data-key": id },
          h("span", {}, text),
          action !== undefined && h("button", { type: "button", "data-action": "act", "data-toast": id }, action),
          iconButton("x", t.close, { "data-action": "close", "data-toast": id }),
        ),
      ),
    ),
  );
  return root;
}
