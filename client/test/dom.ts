// A document for tests that render.
import { Window } from "happy-dom";

const window = new Window({ url: "http://localhost/" });
const names = ["document", "location", "Node", "Event", "HTMLElement", "Element", "Text", "Comment"] as const;
for (const name of names)
  Object.defineProperty(globalThis, name, { value: window[name], configurable: true });
Object.defineProperty(globalThis, "window", { value: window, configurable: true });

/** Wait until something holds. */
export async function until(holds: () => boolean): Promise<void> {
  for (let n = 0; !holds(); n += 1) {
    if (n > 2_000) throw new Error(`never: ${String(holds)}: ${document.body.innerHTML}`);
    await new Promise((done) => setTimeout(done, 2));
  }
}
