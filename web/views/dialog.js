// @ts-check
// A question or a form above the page; Escape closes it, and the browser brings focus back to where it was.
import { h, iconButton } from "../dom.js";
import { t } from "../strings.js";

let count = 0;

/**
 * @param {string} title
 * @param {...(Node | string)} children
 * @returns {HTMLDialogElement}
 */
export function openDialog(title, ...children) {
  const id = `dialog-${(count += 1)}`;
  const close = iconButton("x", t.close);
  const dialog = h(
    "dialog",
    { "aria-labelledby": id },
    h("header", {}, h("h2", { id }, title), close),
    ...children,
  );
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", ({ target }) => target === dialog && dialog.close());
  dialog.addEventListener("close", () => {
    dialog.remove();
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
