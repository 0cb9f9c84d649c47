// @ts-check
// A menu at a button: arrow keys, Escape, and focus goes back to the button. Another view closes it, and the way
// back of a telephone; what may not be done any more stays in its place, disabled.
import { h, icon, iconButton } from "../dom.js";
import { t } from "../strings.js";

/** @typedef {() => boolean} May whether something may be done now */
/** @typedef {{ id: string, icon: string, label: string, may: May, act: () => void }} MenuItem */
/** @typedef {{ label: string, may: May, act: () => void }} Emoji */

/**
 * @typedef {object} Choices
 * @property {readonly Emoji[]} emoji to react with at once
 * @property {readonly Emoji[]} moreEmoji behind a button
 * @property {readonly MenuItem[]} items
 */

/** Where keys lead, from the choice `now` of `count`. @type {Partial<Record<string, (now: number, count: number) => number>>} */
export const STEPS = {
  ArrowDown: (now) => now + 1,
  ArrowRight: (now) => now + 1,
  ArrowUp: (now) => now - 1,
  ArrowLeft: (now) => now - 1,
  Home: () => 0,
  End: () => -1,
};

/** @param {HTMLElement} anchor @param {string} label @param {Choices} choices
 * @returns {() => void} to be called when what may be done has changed */
export function openMenu(anchor, label, choices) {
  document.getElementById("menu")?.remove();
  const menu = h("div", { id: "menu", role: "menu", "aria-label": label, tabindex: -1 });
  const open = new AbortController();
  const close = () => {
    menu.remove();
    open.abort();
    anchor.removeAttribute("aria-expanded");
    if (anchor.isConnected) anchor.focus({ preventScroll: true });
  };
  const show = () => {
    place(menu, anchor.getBoundingClientRect());
    buttonsOf(menu)[0]?.focus();
  };
  menu.append(...entries(choices, close, show));
  listen(menu, close, open.signal);
  onBack(close, open.signal);
  document.querySelector("main")?.append(menu); // a landmark holds it
  anchor.setAttribute("aria-expanded", "true");
  show();
  return () => check(menu);
}

/** What stands in a menu, and whether it may be done. @type {WeakMap<HTMLButtonElement, May>} */
const conditions = new WeakMap();

/** @param {HTMLElement} menu */
function check(menu) {
  const had = menu.contains(document.activeElement);
  for (const button of menu.querySelectorAll("button")) button.disabled = !(conditions.get(button)?.() ?? true);
  if (had && document.activeElement instanceof HTMLButtonElement && !document.activeElement.disabled) return;
  if (had) (buttonsOf(menu)[0] ?? menu).focus();
}

/** Those that can be chosen. @param {HTMLElement} menu */
const buttonsOf = (menu) => [...menu.querySelectorAll("button")].filter(({ disabled }) => !disabled);

/** @param {Choices} choices @param {() => void} close @param {() => void} show the menu again, with more in it */
function entries({ emoji, moreEmoji, items }, close, show) {
  /** @param {HTMLButtonElement} node @param {{ may: May, act: () => void }} what */
  const choice = (node, { may, act }) => {
    conditions.set(node, may);
    node.addEventListener("click", () => {
      close();
      act();
    });
    return node;
  };
  /** @param {Emoji} emoji */
  const reaction = (emoji) =>
    choice(h("button", { type: "button", role: "menuitem", "aria-label": `${t.react} ${emoji.label}`, tabindex: -1 }, emoji.label), emoji);
  const more = iconButton("smile-plus", t.moreEmoji, { role: "menuitem", tabindex: -1, class: "more-emoji" });
  const reactions = h("div", { class: "emoji", role: "group", "aria-label": t.react }, ...emoji.map(reaction), more);
  more.addEventListener("click", () => {
    reactions.classList.add("all");
    reactions.replaceChildren(...moreEmoji.map(reaction));
    show();
  });
  const [first] = emoji;
  if (first) conditions.set(more, first.may);
  const rest = items.map((item) =>
    choice(h("button", { type: "button", role: "menuitem", class: item.id, tabindex: -1 }, icon(item.icon), item.label), item),
  );
  return first ? [reactions, ...rest] : rest;
}

/** @param {HTMLElement} menu @param {() => void} close @param {AbortSignal} signal when it is closed */
function listen(menu, close, signal) {
  /** @param {Event} event */
  const outside = ({ target }) => target instanceof Node && !menu.contains(target) && close();
  /** @param {KeyboardEvent} event */
  const key = (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return; // keys of the page
    const all = buttonsOf(menu);
    const now = all.findIndex((node) => node === document.activeElement);
    const step = STEPS[event.key];
    if (event.key === "Escape" || event.key === "Tab") close();
    else if (step) all.at(step(now, all.length) % (all.length || 1))?.focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  document.addEventListener("keydown", key, { capture: true, signal }); // wherever focus went
  document.addEventListener("pointerdown", outside, { capture: true, signal });
  document.addEventListener("room", close, { signal });
}

/** Where the browser tells of it, as on Android. @param {() => void} close @param {AbortSignal} signal when it is closed */
function onBack(close, signal) {
  const { CloseWatcher } = /** @type {{ CloseWatcher?: new (options: { signal: AbortSignal }) => EventTarget }} */ (window);
  if (CloseWatcher) new CloseWatcher({ signal }).addEventListener("close", close);
}

/** Below the button if there is room, else above; always within the window.
 * @param {HTMLElement} menu @param {DOMRect} at */
function place(menu, at) {
  const { width, height } = menu.getBoundingClientRect();
  const top = at.bottom + height + 8 < innerHeight ? at.bottom + 4 : Math.max(8, at.top - height - 4);
  menu.style.top = `${top}px`;
  menu.style.left = `${Math.max(8, Math.min(at.right - width, innerWidth - width - 8))}px`;
}
