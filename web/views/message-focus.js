// @ts-check
// The list is one stop of the Tab key. From there ↑ and ↓ go from message to message; what can be done
// to the one that has the focus are the next stops. Its tools show while keys lead, else those under the mouse.

export class MessageFocus {
  #scroll;
  #list;
  #visible;
  /** The message that has the focus. @type {string | undefined} */
  #key;
  /** The one that had it last. @type {string | undefined} */
  #last;

  /** @param {HTMLElement} scroll is the stop @param {HTMLElement} list holds the rows
   * @param {() => HTMLElement | undefined} visible the last row in view */
  constructor(scroll, list, visible) {
    this.#scroll = scroll;
    this.#list = list;
    this.#visible = visible;
    scroll.addEventListener("keydown", (event) => this.#press(event));
    scroll.addEventListener("keydown", () => (list.dataset.by = "keys"), true);
    // The list moves under a mouse that rests, too.
    scroll.addEventListener("pointermove", ({ movementX, movementY }) => (movementX || movementY) && delete list.dataset.by);
    scroll.addEventListener("pointerdown", () => delete list.dataset.by);
    list.addEventListener("focusin", ({ target }) => this.#enter(rowOf(target)?.dataset.key));
    list.addEventListener("focusout", ({ relatedTarget }) => this.#enter(rowOf(relatedTarget)?.dataset.key));
  }

  /** A row that is drawn, with the stops it has now. @param {HTMLElement} row @param {string} key */
  drawn(row, key) {
    setStops(row, key === this.#key);
    return row;
  }

  /** @param {string | undefined} key */
  #enter(key) {
    if (key === this.#key) return;
    const before = this.#row(this.#key);
    const row = this.#row(key);
    this.#key = key;
    this.#last = key ?? this.#last;
    if (before) setStops(before, false);
    if (row) setStops(row, true);
  }

  /** @param {string | undefined} key */
  #row(key) {
    const found = [...this.#list.children].find((row) => row instanceof HTMLElement && row.dataset.key === key);
    return found instanceof HTMLElement ? found : undefined;
  }

  /** Enter opens what can be done. @param {KeyboardEvent} event */
  #press(event) {
    const { key, target } = event;
    const row = rowOf(target);
    if (event.altKey || !(target === this.#scroll || target === row)) return;
    if (key === "Enter" && row) {
      event.preventDefault(); // or the key presses the first choice of the menu too
      return row.querySelector("button.more")?.dispatchEvent(new MouseEvent("click", { bubbles: true }));
    }
    if (key !== "ArrowUp" && key !== "ArrowDown") return;
    const next = row ? (key === "ArrowUp" ? row.previousElementSibling : row.nextElementSibling) : (this.#row(this.#last) ?? this.#visible());
    if (!(next instanceof HTMLElement)) return;
    event.preventDefault();
    next.focus({ preventScroll: true });
    next.scrollIntoView({ block: "nearest" });
  }
}

/** @param {EventTarget | null} target */
function rowOf(target) {
  return target instanceof Element ? target.closest("li") : null;
}

/** @param {HTMLElement} row @param {boolean} are whether the parts of a row are stops */
function setStops(row, are) {
  for (const part of row.querySelectorAll("a, button, video"))
    if (are) part.removeAttribute("tabindex");
    else part.setAttribute("tabindex", "-1");
}
