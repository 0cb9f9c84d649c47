// @ts-check
// Who is it? Any name will do: this is the development server.
import { h, icon, onSubmit } from "../dom.js";
import { fieldError } from "../field-error.js";
import { isUserId } from "../format.js";
import { t } from "../strings.js";

/** @param {string} name that cannot be one */
const wrong = (name) => (name ? t.badName : t.noPerson);

/** @param {string | null} refused a name that cannot be one */
export function signInView(refused) {
  const input = h("input", {
    name: "user",
    required: true,
    placeholder: t.yourNameHint,
    autocomplete: "username",
    autocapitalize: "none",
    value: refused,
  });
  const error = fieldError(input, "sign-in-error");
  if (refused !== null) error.refuse(wrong(refused));
  const form = h(
    "form",
    { id: "sign-in", novalidate: true },
    icon("message-circle"),
    h("h1", {}, t.product),
    h("p", {}, t.pitch),
    h("label", {}, t.yourName, input),
    error.place,
    h("button", { class: "primary" }, t.signIn),
  );
  onSubmit(form, ({ user = "" }) => {
    if (isUserId(user.trim())) return location.assign(`/?${new URLSearchParams({ user: user.trim() })}`);
    error.refuse(wrong(user.trim()));
  });
  setTimeout(() => input.focus());
  return h("main", {}, form);
}
