// @ts-check
// A chat with one person, or a group.
import { h, onSubmit } from "../dom.js";
import { fieldError } from "../field-error.js";
import { isUserId } from "../format.js";
import { t } from "../strings.js";
import { openDialog } from "./dialog.js";
import { wrongName } from "./group-forms.js";

/** @typedef {import("../app.js").App} App */

const IDS = { autocapitalize: "none", autocomplete: "off" }; // a field for user ids

/** @param {App} app */
export function newChatDialog(app) {
  const known = h("datalist", { id: "known" }, ...knownPeople(app).map((value) => h("option", { value, label: app.client.name(value) })));
  const [person, title, people] = [personField(), titleField(), peopleField()];
  const [direct, group] = [directForm(person), groupForm(title, people)];
  const dialog = openDialog(t.newChat, known, direct, group);
  onSubmit(direct, ({ user = "" }) => {
    const other = user.trim();
    if (!isUserId(other)) return person.refuse(other ? t.badName : t.noPerson);
    if (other === app.user) return person.refuse(t.ownName);
    dialog.close();
    void app.create(app.client.name(other), async () => {
      const room = await app.client.direct(other);
      if (room.state.value.hidden) void app.guard(room.hide(false)); // who begins it anew wants it in the list
      return room;
    });
  });
  onSubmit(group, ({ name = "", members = "" }) => {
    const ids = members.split(/[\s,]+/).filter(Boolean);
    const why = wrongName(name.trim());
    if (why) return title.refuse(why);
    if (!ids.every(isUserId)) return people.refuse(t.badName);
    dialog.close();
    void app.create(name, () => app.client.group({ name, members: ids }));
  });
}

/** @param {string} label @param {Record<string, string | number | boolean>} attributes */
function labelled(label, attributes) {
  const input = h("input", attributes);
  const { place, refuse } = fieldError(input, `new-${input.name}-error`);
  return { parts: [h("label", {}, label, input), place], refuse };
}

const personField = () =>
  labelled(t.person, { name: "user", list: "known", placeholder: t.personHint, autofocus: true, ...IDS });
const titleField = () => labelled(t.groupName, { name: "name" });
const peopleField = () => labelled(t.members, { name: "members", placeholder: t.membersHint, ...IDS });

/** @typedef {ReturnType<typeof labelled>} Field */

/** @param {Field} person */
const directForm = (person) =>
  h(
    "form",
    { id: "new-direct", novalidate: true },
    h("h3", {}, t.newDirect),
    ...person.parts,
    h("div", { class: "buttons" }, h("button", { class: "primary" }, t.open)),
  );

/** @param {Field} title @param {Field} people */
const groupForm = (title, people) =>
  h(
    "form",
    { id: "new-group", novalidate: true },
    h("h3", {}, t.newGroup),
    ...title.parts,
    ...people.parts,
    h("div", { class: "buttons" }, h("button", { class: "primary" }, t.create)),
  );

/** Whom this user has met. @param {App} app */
function knownPeople(app) {
  const partners = [...app.rooms.value, ...app.hidden.value].flatMap(({ partner }) => partner ?? []);
  const members = app.state?.members.map(({ user_id }) => user_id) ?? [];
  return [...new Set([...partners, ...members])].filter((user_id) => user_id !== app.user).sort();
}
