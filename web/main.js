// @ts-check
// The page: `?user=` names who is signed in, `#room_id` the open room.
import { App } from "./app.js";
import { isUserId } from "./format.js";
import { applyTheme } from "./theme.js";
import { chatView } from "./views/chat.js";
import { signInView } from "./views/sign-in.js";

applyTheme();
const user = new URLSearchParams(location.search).get("user");
if (user !== null && isUserId(user)) {
  const app = new App(user);
  document.body.replaceChildren(chatView(app));
  app.start();
} else {
  document.body.replaceChildren(signInView(user));
}
