// @ts-check
// A picture as large as the window; Escape or a click closes it. A very long one is as wide as it can be, and scrolls.
import { h } from "../dom.js";
import { t } from "../strings.js";
import { openDialog } from "./dialog.js";

const LONG = 3; // times the other side: all of it at once would be a line

/** @param {string} url @param {string} name */
export function openLightbox(url, name) {
  const image = h("img", { src: url, alt: name });
  const scroll = h("div", { class: "scroll" }, image);
  const dialog = openDialog(name, scroll);
  dialog.id = "lightbox";
  image.addEventListener("load", () => {
    const { naturalWidth: width, naturalHeight: height } = image;
    if (Math.max(width / height, height / width) < LONG) return;
    scroll.classList.add(height > width ? "tall" : "wide");
    scroll.tabIndex = 0; // for the arrow keys
    scroll.focus();
  });
  image.addEventListener("click", () => dialog.close());
  image.addEventListener("error", () => scroll.replaceWith(h("p", { class: "hint" }, t.notLoaded)));
}
