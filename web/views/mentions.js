// @ts-check
// Names behind an @ in a text: who is meant, and a list to choose from while one types.
import { h, silent } from "../dom.js";
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
    list.replaceChildren(...found.slice(0, MOST).map(({ user_id }, index) => option(user_id, nameOf(user_id), index, index === active)));
    if (list.hidden) field.removeAttribute("aria-activedescendant");
    else field.setAttribute("aria-activedescendant", `suggestion-${active}`);
  }

  /** @param {HTMLElement} chosen */
  const take = ({ dataset }) => complete(field, begun() ?? "", dataset.user ?? "");

  field.addEventListener("input", render);
  field.addEventListener("blur", () => setTimeout(() => (list.hidden ||= document.activeElement !== field), 200));
  field.addEventListener("keydown", (event) => {
    if (list.hidden) return;
    const chosen = list.children[active];
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      active = (active + (event.key === "ArrowDown" ? 1 : -1) + list.children.length) % list.children.length;
      render();
    } else if ((event.key === "Enter" || (event.key === "Tab" && !event.shiftKey)) && chosen instanceof HTMLElement) take(chosen);
    else if (event.key === "Escape") list.hidden = true;
    else return;
    event.preventDefault();
  });
  list.addEventListener("pointerdown", (event) => {
    const chosen = event.target instanceof Element ? event.target.closest("li") : null;
    event.preventDefault();
    if (chosen) take(chosen);
  });
  return list;
}

/** Put an id in the place of its letters before the caret.
 * @param {HTMLTextAreaElement} field @param {string} begun @param {string} user_id */
function complete(field, begun, user_id) {
  field.setRangeText(`${user_id} `, field.selectionStart - begun.length, field.selectionStart, "end");
  field.dispatchEvent(new Event("input", { bubbles: true }));
  field.focus();
}

/** @param {string} user_id @param {string} name @param {number} index @param {boolean} isActive */
const option = (user_id, name, index, isActive) =>
  h("li", { id: `suggestion-${index}`, role: "option", "aria-selected": String(isActive), "data-user": user_id }, silent(avatar(user_id, name)), name);
