// @ts-check
// A picture as large as the window; Escape or a click closes it.
import { h } from "../dom.js";
import { t } from "../strings.js";
import { openDialog } from "./dialog.js";

/** @param {string} url @param {string} name */
export function openLightbox(url, name) {
  const image = h("img", { src: url, alt: name });
  const dialog = openDialog(name, image);
  dialog.id = "lightbox";
  image.addEventListener("click", () => dialog.close());
  image.addEventListener("error", () => image.replaceWith(h("p", { class: "hint" }, t.notLoaded)));
}
