// @ts-check
// A picture as large as the window; Escape or a click closes it.
import { h } from "../dom.js";
import { openDialog } from "./dialog.js";

/** @param {string} url @param {string} name */
export function openLightbox(url, name) {
  const dialog = openDialog(name, h("img", { src: url, alt: name }));
  dialog.id = "lightbox";
}
