// @ts-check
// A list of rows of any height, of which only those near the view are in the document.
import { morph } from "./dom.js";

const OVERSCAN = 600; // px above and below the view that are drawn too
const GUESS = 64; // px of a row that was not drawn yet
const LEGIBLE = 24; // px of a row, about a line
const NEAR = 40; // px from the end that count as the end

/** @typedef {{ key: string, index: number, offset: number }} Anchor a row, where it is in the list and in the view */

/**
 * What one reads stays where it is while rows come, go and grow, since the topmost row that is visible
 * is held in place; at the end the end is held.
 * @template {{ key: string }} Item
 */
export class VirtualList {
  /** @type {readonly Item[]} */
  #items = [];
  /** @type {Map<string, { node: HTMLElement, index: number }>} */
  #drawn = new Map();
  /** Of rows that were drawn once. @type {Map<string, number>} */
  #heights = new Map();
  /** By index. Of 10,000 rows few are new: a look-up for each of them would be felt in every frame. */
  #rowHeights = new Float64Array(0);
  #tops = new Float64Array(1);
  #atEnd = true;
  /** scrollTop as it was last looked at or set. Events come a frame later: another one is a scroll. */
  #scrollTop = 0;
  #width = 0;
  #viewport;
  #list;
  #draw;
  #moved;
  #sizes = new ResizeObserver((entries) => this.#resized(entries));

  /**
   * @param {HTMLElement} viewport scrolls
   * @param {HTMLElement} list holds the rows
   * @param {(item: Item) => HTMLElement} draw
   * @param {() => void} moved what is visible is another part
   */
  constructor(viewport, list, draw, moved) {
    this.#viewport = viewport;
    this.#list = list;
    this.#draw = draw;
    this.#moved = moved;
    viewport.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.#sizes.observe(viewport);
  }

  /** Whether the end is in view. */
  get atEnd() {
    return this.#atEnd;
  }

  /** Show these rows; those that are drawn are drawn again. Without `follow` the end is not held: rows that
   * come below it are yet to be read. @param {readonly Item[]} items */
  show(items, follow = true) {
    this.#look();
    if (!follow) this.#atEnd = false;
    const anchor = this.#anchor();
    this.#take(items);
    this.#hold(anchor);
    this.#render(true);
    this.#settle(anchor, follow);
  }

  /** Another list altogether. */
  reset() {
    this.#heights.clear();
    this.#take([]);
    for (const { node } of this.#drawn.values()) this.#drop(node);
    this.#drawn.clear();
    this.#atEnd = true;
  }

  toEnd() {
    this.#atEnd = true;
    this.#scrollTo(this.#viewport.scrollHeight);
    this.#render(false);
    this.#settle(undefined);
  }

  /** Bring a row into view, its top `above` px below that of the view. @param {string} key */
  toKey(key, above = 80) {
    const index = this.#items.findIndex((item) => item.key === key);
    if (index < 0) return false;
    this.#atEnd = false;
    const anchor = { key, index, offset: above };
    this.#hold(anchor);
    this.#render(false);
    this.#settle(anchor);
    return true;
  }

  /** The drawn row of a key. @param {string} key */
  node(key) {
    return this.#drawn.get(key)?.node;
  }

  /** The last row that is wholly in view, or ends in it; of those that count, if a rule is given.
   * @param {(item: Item) => boolean} [counts] @returns {Item | undefined} */
  lastVisible(counts = () => true) {
    const end = this.#viewport.scrollTop + this.#viewport.clientHeight - this.#offset() + 1;
    let index = this.#indexAt(end);
    if ((this.#tops[index + 1] ?? 0) > end) index -= 1;
    for (let item = this.#items[index]; item; item = this.#items[(index -= 1)]) if (counts(item)) return item;
    return undefined;
  }

  /** The rows of which something can be read in the view. @returns {readonly Item[]} */
  visible() {
    const top = this.#viewport.scrollTop - this.#offset();
    const end = top + this.#viewport.clientHeight;
    return this.#items.slice(this.#indexAt(top + LEGIBLE), this.#indexAt(end - LEGIBLE) + 1);
  }

  /** Where the list begins within what scrolls. */
  #offset() {
    return this.#list.offsetTop;
  }

  /** A row that is the same object, at its place or as many places further as there are more, keeps its size.
   * @param {readonly Item[]} items */
  #take(items) {
    const [before, known] = [this.#items, this.#rowHeights];
    const shift = items.length - before.length;
    const sizes = new Float64Array(items.length);
    items.forEach((item, index) => {
      const from = before[index] === item ? index : index - shift;
      sizes[index] = (before[from] === item ? known[from] : this.#heights.get(item.key)) ?? GUESS;
    });
    this.#items = items;
    this.#rowHeights = sizes;
    this.#sum();
  }

  #sum() {
    const tops = new Float64Array(this.#rowHeights.length + 1);
    this.#rowHeights.forEach((size, index) => (tops[index + 1] = (tops[index] ?? 0) + size));
    this.#tops = tops;
  }

  /** The row at a height, by bisection. @param {number} y */
  #indexAt(y) {
    let [low, high] = [0, Math.max(0, this.#items.length - 1)];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.#tops[middle] ?? 0) <= y) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** Somebody scrolled, whether its event was here or comes later: see whether that is the end. */
  #look() {
    const { scrollTop } = this.#viewport;
    if (Math.abs(scrollTop - this.#scrollTop) < 1) return;
    this.#scrollTop = scrollTop;
    this.#atEnd = this.#isAtEnd();
  }

  #isAtEnd() {
    const { scrollTop, scrollHeight, clientHeight } = this.#viewport;
    return scrollHeight - scrollTop - clientHeight < NEAR;
  }

  /** @param {number} top */
  #scrollTo(top) {
    this.#viewport.scrollTop = top;
    this.#scrollTop = this.#viewport.scrollTop; // as far as it goes
  }

  /** The topmost row in view, and where it stands. @returns {Anchor | undefined} */
  #anchor() {
    if (this.#atEnd || !this.#items.length) return undefined;
    const top = this.#viewport.scrollTop - this.#offset();
    const index = this.#indexAt(top);
    const item = this.#items[index];
    return item && { key: item.key, index, offset: (this.#tops[index] ?? 0) - top };
  }

  /** Scroll so that the anchor stands where it stood; without one, to the end.
   * @param {Anchor | undefined} anchor */
  #hold(anchor) {
    this.#pad();
    if (this.#atEnd || !anchor) {
      if (this.#atEnd) this.#scrollTo(this.#viewport.scrollHeight);
      return;
    }
    if (this.#items[anchor.index]?.key !== anchor.key)
      anchor.index = this.#items.findIndex((item) => item.key === anchor.key);
    if (anchor.index < 0) return;
    const wanted = (this.#tops[anchor.index] ?? 0) - anchor.offset + this.#offset();
    if (Math.abs(wanted - this.#viewport.scrollTop) >= 1) this.#scrollTo(wanted);
  }

  /** Rows were drawn and measured: hold on until nothing moves any more.
   * @param {Anchor | undefined} anchor */
  #settle(anchor, follow = true) {
    for (let round = 0; round < 8 && this.#measure(); round += 1) {
      this.#hold(anchor);
      this.#render(false);
    }
    this.#hold(anchor);
    // Rows that all fit end in view without a scroll.
    this.#atEnd = (follow && this.#atEnd) || this.#isAtEnd();
    this.#moved();
  }

  /** Read the heights of drawn rows. Returns whether one is another. */
  #measure() {
    let changed = false;
    for (const [key, { node, index }] of this.#drawn) {
      const height = node.getBoundingClientRect().height;
      if (!height || Math.abs((this.#heights.get(key) ?? -1) - height) < 0.5) continue;
      this.#heights.set(key, height);
      this.#rowHeights[index] = height;
      changed = true;
    }
    if (changed) this.#sum();
    return changed;
  }

  #range() {
    const top = this.#viewport.scrollTop - this.#offset();
    const first = this.#indexAt(top - OVERSCAN);
    const last = this.#indexAt(top + this.#viewport.clientHeight + OVERSCAN);
    return [first, Math.min(last + 1, this.#items.length)];
  }

  /** The list is as high as all its rows; it clips, so that nothing else makes it higher. */
  #pad() {
    const [first = 0] = this.#range();
    this.#list.style.height = `${this.#tops[this.#items.length] ?? 0}px`;
    this.#list.style.paddingTop = `${this.#tops[first] ?? 0}px`;
  }

  /** Have the rows near the view in the document. @param {boolean} again draw known rows again */
  #render(again) {
    const [first = 0, end = 0] = this.#range();
    const wanted = this.#items.slice(first, end);
    const keys = new Set(wanted.map(({ key }) => key));
    for (const [key, { node }] of this.#drawn) {
      if (keys.has(key)) continue;
      this.#drop(node);
      this.#drawn.delete(key);
    }
    let next = this.#list.firstElementChild;
    for (const [place, item] of wanted.entries()) {
      const node = this.#row(item, first + place, again);
      if (node === next) next = node.nextElementSibling;
      else this.#list.insertBefore(node, next);
    }
    this.#pad();
  }

  /** @param {Item} item @param {number} index @param {boolean} again */
  #row(item, index, again) {
    const known = this.#drawn.get(item.key);
    if (known) known.index = index;
    if (known && !again) return known.node;
    const drawn = this.#draw(item);
    drawn.dataset.key = item.key;
    if (known) {
      const hadFocus = known.node.contains(document.activeElement);
      morph(known.node, drawn);
      if (hadFocus && !known.node.contains(document.activeElement)) known.node.focus({ preventScroll: true });
      return known.node;
    }
    this.#drawn.set(item.key, { node: drawn, index });
    this.#sizes.observe(drawn);
    return drawn;
  }

  /** @param {HTMLElement} node */
  #drop(node) {
    this.#sizes.unobserve(node);
    if (node.contains(document.activeElement)) this.#viewport.focus({ preventScroll: true });
    node.remove();
  }

  #scrolled() {
    this.#look();
    const anchor = this.#anchor();
    this.#render(false);
    if (this.#measure()) this.#hold(anchor);
    this.#moved();
  }

  /** A picture came, the window is another: hold what was held. @param {ResizeObserverEntry[]} entries */
  #resized(entries) {
    const width = this.#viewport.clientWidth;
    if (!width) return;
    this.#look();
    const anchor = this.#anchor();
    if (width !== this.#width) {
      this.#width = width;
      this.#heights.clear();
      this.#rowHeights.fill(GUESS);
      this.#sum();
    } else if (entries.every(({ target }) => this.#isMeasured(target))) return;
    this.#measure();
    this.#hold(anchor);
    this.#render(false);
    this.#settle(anchor);
  }

  /** @param {Element} target */
  #isMeasured(target) {
    if (!(target instanceof HTMLElement) || target === this.#viewport) return false;
    const height = this.#heights.get(target.dataset.key ?? "") ?? -1;
    return Math.abs(height - target.getBoundingClientRect().height) < 0.5;
  }
}
