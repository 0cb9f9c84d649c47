// @ts-check
// Who is it? Any name will do: this is the development server.
import { h, icon, onSubmit } from "../dom.js";
import { isUserId } from "../format.js";
import { t } from "../strings.js";

/** @param {string | null} refused a name that cannot be one */
export function signInView(refused) {
  const input = h("input", {
    name: "user",
    required: true,
    maxlength: 128,
    placeholder: "alice",
    autocomplete: "username",
    autocapitalize: "none",
    "aria-describedby": "sign-in-error",
    value: refused,
  });
  const error = h("p", { id: "sign-in-error", class: "error", role: "alert" }, refused !== null && t.badName);
  const form = h(
    "form",
    { id: "sign-in", novalidate: true },
    icon("message-circle"),
    h("h1", {}, t.product),
    h("p", {}, t.pitch),
    h("label", {}, t.yourName, input),
    error,
    h("button", { class: "primary" }, t.signIn),
  );
  onSubmit(form, ({ user = "" }) => {
    if (isUserId(user.trim())) return location.assign(`/?${new URLSearchParams({ user: user.trim() })}`);
    error.textContent = t.badName;
    input.setAttribute("aria-invalid", "true");
    input.focus();
  });
  setTimeout(() => input.focus());
  return h("main", {}, form);
}
