// @ts-check
// A finger that rests on something. Android tells of it by `contextmenu`, iOS by no event at all.

const RESTS = 500; // ms
const MOVES = 10; // px

/** @param {HTMLElement} root @param {(target: Element) => void} act with what the finger is on, once */
export function onLongPress(root, act) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let [x, y] = [0, 0];
  let isDone = false;
  const stop = () => clearTimeout(timer);
  /** @param {EventTarget | null} target */
  const press = (target) => {
    stop();
    if (isDone || !(target instanceof Element)) return;
    act(target); // may click on something itself
    isDone = true;
  };
  root.addEventListener("pointerdown", (event) => {
    stop();
    isDone = false;
    if (event.pointerType !== "touch" || !event.isPrimary) return;
    [x, y] = [event.clientX, event.clientY];
    timer = setTimeout(() => press(event.target), RESTS);
  });
  root.addEventListener("pointermove", ({ clientX, clientY }) => {
    if (Math.hypot(clientX - x, clientY - y) > MOVES) stop();
  });
  root.addEventListener("pointerup", stop);
  root.addEventListener("pointercancel", stop); // it scrolls
  root.addEventListener("contextmenu", (event) => {
    if (!(event instanceof PointerEvent) || event.pointerType !== "touch") return; // a mouse wants the browser's own
    event.preventDefault();
    press(event.target);
  });
  root.addEventListener("click", (event) => {
    if (!isDone) return;
    isDone = false; // the finger left: that is no click on what is below it
    event.preventDefault();
    event.stopPropagation();
  }, { capture: true });
}
