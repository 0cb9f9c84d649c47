// @ts-check
// Light, dark, or as the system has it; kept in this browser.

const KEY = "rts-web/theme";
/** @typedef {"system" | "light" | "dark"} Theme */
/** @type {readonly Theme[]} */
export const THEMES = ["system", "light", "dark"];

/** @returns {Theme} */
export function theme() {
  const kept = localStorage.getItem(KEY);
  return THEMES.find((one) => one === kept) ?? "system";
}

/** @param {Theme} chosen */
export function applyTheme(chosen = theme()) {
  localStorage.setItem(KEY, chosen);
  document.documentElement.dataset.theme = chosen;
}
