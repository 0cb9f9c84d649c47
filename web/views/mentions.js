// @ts-check
// Names behind an @ in a text: who is meant, and a list to choose from while one types.
import { h } from "../dom.js";
import { named } from "../format.js";
import { t } from "../strings.js";
import { avatar } from "./avatar.js";

/** @typedef {{ user_id: string }} Person */

const MOST = 6;
const NAMED = /(?<!\w)@([!-~]+)/g;
const BEGUN = /(?<![!-~])@(?<begun>[!-~]*)$/;

/** The ids of members that a text names. @param {string} text @param {readonly Person[]} members */
export function mentioned(text, members) {
  const ids = new Set(members.map(({ user_id }) => user_id));
  const found = Array.from(text.matchAll(NAMED), (match) => named(match[1] ?? "", (user_id) => ids.has(user_id)));
  return [...ids].filter((user_id) => found.includes(user_id));
}

/**
 * A list of members beside a textarea, open while one types a name behind an at sign.
 * @param {HTMLTextAreaElement} field
 * @param {() => readonly Person[]} members those who can be meant
 * @param {(user_id: string) => string} nameOf
 */
export function suggestions(field, members, nameOf) {
  const list = h("ul", { id: "suggestions", role: "listbox", "aria-label": t.suggestions, hidden: true });
  field.setAttribute("aria-controls", "suggestions");
  let active = 0;
  const begun = () => BEGUN.exec(field.value.slice(0, field.selectionStart))?.groups?.begun;

  function render() {
    const start = begun()?.toLowerCase();
    const found = members().filter(
      ({ user_id }) => start !== undefined && [user_id, nameOf(user_id)].some((one) => one.toLowerCase().startsWith(start)),
    );
    active = Math.min(active, Math.max(0, found.length - 1));
    list.hidden = !found.length;
    list.replaceChildren(
      ...found.slice(0, MOST).map(({ user_id }, index) =>
        h("li", { id: `suggestion-${index}`, role: "option", "aria-selected": String(index === active), "data-user": user_id }, avatar(user_id, nameOf(user_id)), nameOf(user_id)),
      ),
    );
    if (list.hidden) field.removeAttribute("aria-activedescendant");
    else field.setAttribute("aria-activedescendant", `suggestion-${active}`);
  }

  /** @param {string} user_id */
  function take(user_id) {
    const caret = field.selectionStart - (begun()?.length ?? 0);
    field.setRangeText(`${user_id} `, caret, field.selectionStart, "end");
    field.dispatchEvent(new Event("input", { bubbles: true }));
    field.focus();
  }

  field.addEventListener("input", render);
  field.addEventListener("blur", () => setTimeout(() => (list.hidden = true), 200));
  field.addEventListener("keydown", (event) => {
    if (list.hidden) return;
    const chosen = list.children[active];
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      active = (active + (event.key === "ArrowDown" ? 1 : -1) + list.children.length) % list.children.length;
      render();
    } else if ((event.key === "Enter" || (event.key === "Tab" && !event.shiftKey)) && chosen instanceof HTMLElement) take(chosen.dataset.user ?? "");
    else if (event.key === "Escape") list.hidden = true;
    else return;
    event.preventDefault();
  });
  list.addEventListener("pointerdown", (event) => {
    const option = event.target instanceof Element ? event.target.closest("li") : null;
    event.preventDefault();
    if (option) take(option.dataset.user ?? "");
  });
  return list;
}
