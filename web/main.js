// @ts-check
// The page: `?user=` names who is signed in, `#room_id` the open room.
import { App } from "./app.js";
import { isUserId } from "./format.js";
import { loadIcons } from "./icons.js";
import { isSignedOut } from "./signed-out.js";
import { applyTheme } from "./theme.js";
import { chatView } from "./views/chat.js";
import { signInView } from "./views/sign-in.js";

applyTheme();
const icons = await loadIcons().catch((/** @type {unknown} */ error) => {
  console.warn("The page has no icons.", error);
  return "";
});
const user = new URLSearchParams(location.search).get("user");
if (user !== null && isSignedOut(user)) {
  location.replace("/");
} else if (user !== null && isUserId(user)) {
  const app = new App(user);
  document.body.replaceChildren(icons, chatView(app));
  app.start();
} else {
  document.body.replaceChildren(icons, signInView(user));
}
