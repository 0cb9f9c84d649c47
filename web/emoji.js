// @ts-check
// Emoji to react with: those that this browser used last, and all that are offered.

const KEY = "rts-web/emoji";
const MOST = 6;
const FIRST = ["👍", "❤", "😂", "😮", "😢", "🎉"];

const OTHERS = `
😀 😅 😊 😉 😍 😘 🤔 😎 🥳 😴 🙄 😬 😭 😡 🤯 🥺
👎 👏 🙌 🙏 💪 👋 👌 🤝 🤞 👀 💯 🔥 ✨ ⭐ 🚀 🎂
☕ 🍕 🌈 🌞 🌻 🐛 🐢 🦄 💡 📌 📎 ✅ ❌ ❓ 💔 🧡
`;

export const EMOJI = [...FIRST, ...OTHERS.trim().split(/\s/)];

/** @type {readonly string[]} */
let recent = kept();

function kept() {
  const used = (localStorage.getItem(KEY) ?? "").split(" ").filter((one) => EMOJI.includes(one));
  return [...new Set([...used, ...FIRST])].slice(0, MOST);
}

/** Those to offer at once, the last used first. */
export const recentEmoji = () => recent;

/** @param {string} emoji */
export function rememberEmoji(emoji) {
  if (!EMOJI.includes(emoji)) return;
  recent = [...new Set([emoji, ...recent])].slice(0, MOST);
  localStorage.setItem(KEY, recent.join(" "));
}

/** As the server keeps it: without the sign that asks for colour. @param {string} emoji */
export const plain = (emoji) => emoji.replaceAll("\ufe0f", "");

/** As it is shown: with that sign where the emoji would be a letter without it. @param {string} emoji */
export const inColour = (emoji) => (/\p{Emoji_Presentation}/u.test(emoji) ? emoji : `${emoji}\ufe0f`);
