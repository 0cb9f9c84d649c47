// @ts-check
// Elements, and bringing them up to date: only what changed is touched, so focus and selection stay.

/** @typedef {Node | string | false | null | undefined} Child */
/** @typedef {string | number | boolean | null | undefined} Attribute */

/**
 * An element; text goes in as text, never as HTML.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, Attribute>} [attributes] false, null and undefined are left out
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes))
    if (value !== false && value !== null && value !== undefined)
      node.setAttribute(name, value === true ? "" : String(value));
  node.append(.../** @type {(Node | string)[]} */ (children.filter(Boolean)));
  return node;
}

const SVG = "http://www.w3.org/2000/svg";

/** An icon of Lucide, for eyes only; icons.js has its shape. @param {string} name */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#icon-${name}`);
  svg.append(use);
  return svg;
}

/** A button that shows an icon and is named by text. @param {string} name @param {string} label
 * @param {Record<string, Attribute>} [more] */
export const iconButton = (name, label, more = {}) =>
  h("button", { type: "button", class: "icon-button", "aria-label": label, title: label, ...more }, icon(name));

/** Words for screen readers only. @param {string} text */
export const spoken = (text) => h("span", { class: "spoken" }, text);

/** For eyes only: words beside it say the same. @template {HTMLElement} Shown @param {Shown} node */
export function silent(node) {
  node.setAttribute("aria-hidden", "true");
  return node;
}

/** @param {Node | null} node */
const keyOf = (node) => (node instanceof HTMLElement ? node.dataset.key : undefined);

/** Make the children of an element these; nodes that stay keep focus. @param {Element} parent
 * @param {readonly Node[]} nodes */
export function update(parent, nodes) {
  const focused = document.activeElement;
  patch(parent, nodes);
  if (focused instanceof HTMLElement && focused !== document.activeElement && focused.isConnected)
    focused.focus({ preventScroll: true });
}

/** @param {Element} parent @param {readonly Node[]} nodes */
function patch(parent, nodes) {
  /** @type {Map<string, ChildNode>} */
  const keyed = new Map();
  for (const child of parent.children) {
    const key = keyOf(child);
    if (key !== undefined) keyed.set(key, child);
  }
  let next = parent.firstChild;
  for (const node of nodes) {
    const key = keyOf(node);
    const old = key === undefined ? (keyOf(next) === undefined ? next : null) : keyed.get(key);
    if (!old) {
      parent.insertBefore(node, next);
      continue;
    }
    if (old === next) next = next.nextSibling;
    else parent.insertBefore(old, next);
    morph(old, node);
  }
  while (next) {
    const rest = next.nextSibling;
    next.remove();
    next = rest;
  }
}

/** Make a node equal to another. @param {ChildNode} old @param {Node} fresh */
export function morph(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (old instanceof Text && fresh instanceof Text) old.data = fresh.data;
  else if (old instanceof Element && fresh instanceof Element && old.tagName === fresh.tagName) {
    attributes(old, fresh);
    patch(old, [...fresh.childNodes]);
    if (old instanceof HTMLSelectElement && fresh instanceof HTMLSelectElement) old.value = fresh.value;
  } else old.replaceWith(fresh);
}

/** Whether a <details> or a menu is open, and where a row stands, is not of the data. */
const OF_THE_VIEW = new Set(["open", "aria-expanded", "style"]);

/** @param {Element} old @param {Element} fresh */
function attributes(old, fresh) {
  for (const { name, value } of fresh.attributes)
    if (name !== "style" && old.getAttribute(name) !== value) old.setAttribute(name, value);
  for (const { name } of [...old.attributes])
    if (!fresh.hasAttribute(name) && !OF_THE_VIEW.has(name)) old.removeAttribute(name);
  // Not as an attribute: the page's own policy forbids those.
  if (old instanceof HTMLElement && fresh instanceof HTMLElement && fresh.style.length)
    old.style.cssText = fresh.style.cssText;
}

/**
 * One listener for a view: calls `actions[name](element, event)` for the nearest `data-action`.
 * @param {Element} root
 * @param {Record<string, (element: HTMLElement, event: Event) => void>} actions
 */
export function onClick(root, actions) {
  root.addEventListener("click", (event) => {
    const target = event.target instanceof Element ? event.target.closest("[data-action]") : null;
    if (!(target instanceof HTMLElement) || !root.contains(target)) return;
    actions[target.dataset.action ?? ""]?.(target, event);
  });
}

/** Fields of a form by name, once it is submitted. @param {HTMLFormElement} form
 * @param {(fields: Record<string, string>) => void} act */
export function onSubmit(form, act) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    /** @type {Record<string, string>} */
    const fields = {};
    for (const [name, value] of new FormData(form)) if (typeof value === "string") fields[name] = value;
    act(fields);
  });
}

/** `soon` runs `work` once for all calls of a moment, `now` at once. @param {() => void} work */
export function batched(work) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const now = () => {
    clearTimeout(timer);
    timer = undefined;
    work();
  };
  // Not requestAnimationFrame: the title counts in a hidden window too.
  return { soon: () => void (timer ??= setTimeout(now, 16)), now };
}
