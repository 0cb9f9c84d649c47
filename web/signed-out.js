// @ts-check
// Who signed out in this tab: the way back of the browser leads to pages of theirs, but not into their chats.

const KEY = "rts-web/signed-out";

/** @param {string} user */
export function rememberSignedOut(user) {
  sessionStorage.setItem(KEY, user);
  addEventListener("pageshow", () => location.replace("/")); // the browser had kept this very page
}

/** Whether one came to this page of a user by the way back, or forward, after they signed out; whoever gives
 * their name again is signed in. @param {string} user */
export function isSignedOut(user) {
  if (sessionStorage.getItem(KEY) !== user) return false;
  const [entry] = performance.getEntriesByType("navigation");
  if (entry instanceof PerformanceNavigationTiming && entry.type === "back_forward") return true;
  sessionStorage.removeItem(KEY);
  return false;
}
