// @ts-check
// What was sent in a chat that is being made, and why it waits.
import { h, onClick, update } from "../dom.js";
import { visible } from "../format.js";
import { t } from "../strings.js";
import { mark } from "./signs.js";

/** @param {import("../app.js").App} app */
export function openingView(app) {
  const why = h("p", { class: "hint" }, t.openingWaits);
  const list = h("ol", { id: "opening", "aria-label": t.messages });
  const root = h("div", {}, why, list);
  onClick(root, {
    "cancel-text": ({ dataset }) => {
      app.ui.value.opening?.cancel(Number(dataset.index));
      app.changed();
    },
  });
  app.draws(() => {
    const { opening } = app.ui.value;
    root.hidden = !opening;
    why.hidden = !app.waits;
    update(list, (opening?.texts ?? []).map((text, index) => textItem(text, index, app.waits)));
  });
  return root;
}

/** @param {string} text @param {number} index @param {boolean} waits */
function textItem(text, index, waits) {
  const cancel = { type: "button", "data-action": "cancel-text", "data-index": index, "aria-label": t.onMessage(t.cancel, visible(text)) };
  const bubble = h("div", { class: "bubble" }, h("p", {}, visible(text)), h("span", { class: "foot" }, mark("sending")));
  return h("li", { class: "own" }, h("div", { class: "line" }, bubble, waits && h("span", { class: "error calm" }, h("button", cancel, t.cancel))));
}
