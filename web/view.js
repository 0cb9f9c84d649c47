// State → DOM. Everything that people typed goes in as textContent, never as HTML.
import { element, fileItem } from "./element.js";

const $ = (id) => document.getElementById(id);

function icon(id) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#${id}`);
  svg.append(use);
  return svg;
}

/** Make the children of a list those of `items`; nodes that stay are kept, so is a selection. */
function reconcile(list, items, keyOf, draw) {
  const old = new Map([...list.children].map((node) => [node.dataset.key, node]));
  const nodes = items.map((item) => {
    const key = keyOf(item);
    const drawn = draw(item);
    drawn.dataset.key = key;
    const kept = old.get(key);
    return kept?.isEqualNode(drawn) ? kept : drawn;
  });
  nodes.forEach((node, i) => {
    if (list.children[i] !== node) list.insertBefore(node, list.children[i] ?? null);
  });
  while (list.children.length > nodes.length) list.lastChild.remove();
}

function clock(time) {
  const date = new Date(time);
  const today = date.toDateString() === new Date().toDateString();
  const minute = date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  return today
    ? minute
    : `${date.toLocaleDateString([], { day: "numeric", month: "short" })} ${minute}`;
}

const MARKS = {
  sending: ["sending", "Sending"],
  accepted: ["sending", "Heard by all, not yet durable"],
  queued: ["queued", "Durable"],
  delivered: ["twice", "Delivered to all"],
  read: ["twice", "Read by all"],
  refused: ["refused", "Refused"],
};

const ROLES = ["owner", "admin", "member", "readonly"];
const EMOJI = ["👍", "❤️", "😀"];

/** Whether this user may change members and delete anybody's messages. */
const leads = ({ summary }) => summary.role === "owner" || summary.role === "admin";

/** A dot for a presence; without one nothing is known. */
function dot(presence) {
  const node = element("span", `dot ${presence?.state ?? ""}`);
  node.title = presence ? presenceLine(presence) : "";
  return node;
}

function presenceLine({ state, status_text, last_active_at }) {
  const seen = state === "offline" && last_active_at ? `last here ${clock(last_active_at)}` : state;
  return status_text ? `${seen} · ${status_text}` : seen;
}

/** What can be done to a message, shown when one points at it. */
function tools(editable, deletable) {
  const bar = element("span", "tools");
  for (const emoji of EMOJI) {
    const button = element("button", "react", emoji);
    button.dataset.emoji = emoji;
    bar.append(button);
  }
  if (editable) bar.append(element("button", "edit", "Edit"));
  if (deletable) bar.append(element("button", "remove", "Delete"));
  return bar;
}

export class View {
  #state;
  #actions;
  #shown = null;
  #hiding;

  /** `actions`: open, older, send, retry, discard, direct, group, add; on messages and members:
   * edit, remove, react; expel, give, leave, mute, hide, types; on files: attach, link, download,
   * broken. */
  constructor(state, actions) {
    this.#state = state;
    this.#actions = actions;
    $("chat").hidden = false;
    $("me").textContent = state.me;
    const other = state.me === "bob" ? "alice" : "bob";
    $("second").textContent = `open a second window as ${other}`;
    $("second").href = `/?user=${other}`;
    this.#listen();
  }

  /** Show a line about the connection; while it is away, what is typed waits. */
  connection(text, alive) {
    $("state").textContent = text;
    $("state").className = alive ? "alive" : "";
  }

  /** Say what went wrong, for a few seconds. */
  notice(text) {
    $("notice").textContent = text;
    $("notice").hidden = false;
    clearTimeout(this.#hiding);
    this.#hiding = setTimeout(() => ($("notice").hidden = true), 6000);
  }

  /** Bring the page up to date with the state and the open room (or null). */
  render(open) {
    const unread = this.#state.unread();
    document.title = `${unread ? `(${unread}) ` : ""}${this.#state.me} · rts_server`;
    reconcile(
      $("rooms"),
      this.#state.shown(),
      ({ room_id }) => room_id,
      (room) => this.#roomItem(room, open),
    );
    $("nothing").hidden = Boolean(open);
    $("room").hidden = !open;
    if (open) this.#renderRoom(open);
    this.#shown = open;
  }

  #renderRoom(room) {
    const scroll = $("scroll");
    const fresh = room !== this.#shown;
    const fromBottom = scroll.scrollHeight - scroll.scrollTop;
    const atBottom = fromBottom - scroll.clientHeight < 40;
    const first = $("messages").firstChild;

    const group = room.summary.type === "group";
    $("title").textContent = this.#state.title(room);
    $("members").textContent = group ? this.#people(room) : this.#presence(room);
    $("typing").textContent = this.#typing(room);
    $("add-member").hidden = !group || !leads(room);
    this.#renderPeople(room, group);
    $("earlier").hidden = !room.has_more;
    reconcile(
      $("messages"),
      room.rows(this.#state.me),
      ({ key }) => key,
      (row) => this.#messageItem(row, room),
    );

    if (fresh) $("compose").text.focus();
    if (fresh || atBottom) scroll.scrollTop = scroll.scrollHeight;
    else if (first !== $("messages").firstChild)
      scroll.scrollTop = scroll.scrollHeight - fromBottom;
  }

  #presence(room) {
    const presence = this.#state.presences.get(this.#state.partner(room));
    return presence ? presenceLine(presence) : "";
  }

  #typing(room) {
    const names = this.#state.typists(room).map((user_id) => this.#state.name(user_id));
    if (!names.length) return "";
    return `${names.join(", ")} ${names.length > 1 ? "are" : "is"} typing …`;
  }

  #people({ members }) {
    return [...members.keys()].map((user_id) => this.#state.name(user_id)).join(", ");
  }

  #renderPeople(room, group) {
    $("leave").hidden = !group;
    $("mute").textContent = room.summary.muted ? "Unmute" : "Mute";
    reconcile(
      $("people"),
      group ? [...room.members.values()] : [],
      ({ user_id }) => user_id,
      (member) => this.#personItem(member, room),
    );
  }

  #personItem({ user_id, role }, room) {
    const name = element("span", "", this.#state.name(user_id));
    if (user_id !== this.#state.me) name.prepend(dot(this.#state.presences.get(user_id)));
    const item = element("li", "", name);
    if (!leads(room) || user_id === this.#state.me) {
      item.append(element("span", "role", role));
      return item;
    }
    const roles = element("select", "role");
    for (const one of ROLES) {
      const option = element("option", "", one);
      option.value = one;
      if (one === role) option.setAttribute("selected", "");
      roles.append(option);
    }
    item.append(roles, element("button", "expel", "Remove"));
    return item;
  }

  /** Put a message's text where one types; the next send changes it. Null: no more. */
  editing(message) {
    $("compose").classList.toggle("editing", Boolean(message));
    $("compose").text.value = message?.text ?? "";
    $("compose").text.focus();
  }

  #roomItem(room, open) {
    const last = room.summary.last_message;
    const title = this.#state.title(room);
    const who =
      last && (last.sender_id === this.#state.me ? "you" : this.#state.name(last.sender_id));
    const partner = this.#state.partner(room);
    const mark = partner ? [dot(this.#state.presences.get(partner))] : [];
    const button = element(
      "button",
      "",
      element("span", "title", ...mark, title),
      element("time", "", last ? clock(last.created_at) : ""),
      element("span", "preview", last ? `${who}: ${last.deleted ? "deleted" : last.preview}` : "No messages yet"),
      element("span", "badge", room.unread ? String(room.unread) : ""),
    );
    const item = element("li", room === open ? "open" : "", button);
    item.dataset.room = room.room_id;
    return item;
  }

  #messageItem(row, room) {
    if (row.type === "system") return element("li", "system", this.#sentence(row));
    const own = row.mark !== undefined;
    const group = room.summary.type === "group";
    const foot = element("span", "foot", element("time", "", clock(row.created_at)));
    const item = element("li", own ? `own ${row.mark}` : "other");
    if (group && !own) item.append(element("span", "name", this.#state.name(row.sender_id)));
    if (row.deleted_at) item.append(element("p", "deleted", "deleted"));
    else if (row.text || !row.attachments?.length) item.append(element("p", "", row.text));
    item.append(this.#files(row), this.#reactions(row), foot);
    if (row.edited_at && !row.deleted_at) foot.prepend(element("span", "edited", "edited"));
    if (own) foot.append(this.#mark(row.mark));
    if (row.message_id && !row.deleted_at) item.append(tools(own, own || leads(room)));
    if (row.uploading) item.append(element("span", "error", element("button", "discard", "Cancel")));
    if (row.mark === "refused") {
      const [retry, discard] = [
        element("button", "retry", "Retry"),
        element("button", "discard", "Discard"),
      ];
      item.append(element("span", "error", row.error.message, retry, discard));
    }
    return item;
  }

  #files(row) {
    const list = element("div", "files");
    for (const file of row.attachments ?? []) list.append(fileItem(row, file, this.#actions.link));
    return list;
  }

  #reactions({ reactions }) {
    const list = element("span", "reactions");
    for (const [emoji, { count, user_ids }] of Object.entries(reactions ?? {})) {
      const mine = user_ids.includes(this.#state.me);
      const button = element("button", mine ? "react mine" : "react", `${emoji} ${count}`);
      button.dataset.emoji = emoji;
      button.title = user_ids.map((user_id) => this.#state.name(user_id)).join(", ");
      list.append(button);
    }
    return list;
  }

  #mark(mark) {
    const [id, title] = MARKS[mark];
    const node = element("span", `mark ${mark}`, icon(id));
    node.title = title;
    return node;
  }

  #sentence({ sender_id, text, metadata }) {
    const people = (metadata.user_ids ?? []).map((user_id) => this.#state.name(user_id)).join(", ");
    const who = this.#state.name(sender_id);
    if (metadata.event === "member.added") return `${who} added ${people}`;
    if (metadata.user_ids?.includes(sender_id)) return `${who} left`;
    if (metadata.event === "member.removed") return `${who} removed ${people}`;
    return text || `${metadata.event} ${people}`;
  }

  #listen() {
    const { open, older, send, retry, discard, direct, group, add } = this.#actions;
    const { edit, remove, react, expel, give, leave, mute, hide, types } = this.#actions;
    const { download, broken } = this.#actions;
    $("rooms").addEventListener("click", ({ target }) => {
      const item = target.closest("[data-room]");
      if (item) open(item.dataset.room);
    });
    $("messages").addEventListener("click", ({ target }) => {
      const act = { retry, discard, edit, remove, react }[target.classList[0]];
      act?.(target.closest("li").dataset.key, target.dataset.emoji);
      const file = target.closest(".download") && target.closest(".file");
      if (file) {
        const { inline, ...wanted } = file.dataset;
        download(wanted, inline !== undefined);
      }
    });
    $("messages").addEventListener(
      "error",
      ({ target }) => broken(target.closest(".file")?.dataset.attachment_id),
      true,
    );
    this.#listenForFiles();
    $("people").addEventListener("click", ({ target }) => {
      if (target.className === "expel") expel(target.closest("li").dataset.key);
    });
    $("people").addEventListener("change", ({ target }) =>
      give(target.closest("li").dataset.key, target.value),
    );
    for (const [id, act] of Object.entries({ leave, mute, hide })) {
      $(id).addEventListener("click", act);
    }
    $("earlier").addEventListener("click", older);
    $("scroll").addEventListener("scroll", () => {
      if ($("scroll").scrollTop < 60 && !$("earlier").hidden) older();
    });
    this.#submit("compose", ({ text }) => text.trim() && send(text));
    $("compose").addEventListener("keydown", (event) => {
      if (event.key === "Escape") edit(null);
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      $("compose").requestSubmit();
    });
    $("compose").text.addEventListener("input", ({ target }) => target.value.trim() && types());
    const names = (text) => text.split(/[\s,]+/).filter(Boolean);
    this.#submit("new-direct", ({ user }) => direct(user));
    this.#submit("new-group", ({ name, members }) => group(name, names(members)));
    this.#submit("add-member", ({ user }) => add(user));
  }

  /** Chosen, pasted or dropped. */
  #listenForFiles() {
    const attach = (files) => files.length && this.#actions.attach([...files]);
    $("attach").addEventListener("click", () => $("files").click());
    $("files").addEventListener("change", () => {
      attach($("files").files);
      $("files").value = "";
    });
    $("compose").addEventListener("paste", (event) => {
      if (!event.clipboardData.files.length) return;
      event.preventDefault();
      attach(event.clipboardData.files);
    });
    for (const kind of ["dragover", "dragleave", "drop"]) {
      $("room").addEventListener(kind, (event) => {
        event.preventDefault();
        $("room").classList.toggle("dropping", kind === "dragover");
        if (kind === "drop") attach(event.dataTransfer.files);
      });
    }
  }

  #submit(id, act) {
    $(id).addEventListener("submit", (event) => {
      event.preventDefault();
      act(Object.fromEntries(new FormData($(id))));
      $(id).reset();
    });
  }
}
