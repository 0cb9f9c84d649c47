// @ts-check
// What is wrong with what one typed, said below its field.
import { h } from "./dom.js";

/** A place for the error of a field, to be put below it, and how to tell one: the field gets the focus then.
 * The error goes as soon as something else is typed. @param {HTMLInputElement} field @param {string} id */
export function fieldError(field, id) {
  const place = h("p", { id, class: "error", role: "alert" });
  field.setAttribute("aria-describedby", id);
  /** @param {string} text */
  const tell = (text) => {
    place.textContent = text;
    if (text) field.setAttribute("aria-invalid", "true");
    else field.removeAttribute("aria-invalid");
  };
  field.addEventListener("input", () => tell(""));
  return {
    place,
    /** @param {string} text */
    refuse: (text) => {
      tell(text);
      field.focus();
    },
    clear: () => tell(""),
  };
}
