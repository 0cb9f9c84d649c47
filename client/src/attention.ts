/** Whether somebody may be reading: in a page its window is visible and has the focus. */
export const isAttentive = (): boolean =>
  typeof document === "undefined" || (document.visibilityState === "visible" && document.hasFocus());

/** Calls `listener` once, when that becomes so. Returns how to stop. */
export function onAttention(listener: () => void): () => void {
  const look = () => {
    if (!isAttentive()) return;
    stop();
    listener();
  };
  const stop = () => {
    removeEventListener("focus", look);
    document.removeEventListener("visibilitychange", look);
  };
  addEventListener("focus", look);
  document.addEventListener("visibilitychange", look);
  return stop;
}
