// The demo page: one user in one window. Events go into the state, the state onto the page;
// commands out of the page, their answers into the state.
import { Links, Transfer } from "./files.js";
import { State } from "./state.js";
import { View } from "./view.js";
import { Wire } from "./wire.js";

const PAGE = 50;
const FRAME = 16;
const REPORT = 1000;
const TYPING = 3000;

const randomId = () =>
  [...crypto.getRandomValues(new Uint8Array(16))]
    .map((n) => n.toString(16).padStart(2, "0"))
    .join("");

function start(user) {
  const state = new State(user);
  const busy = new Set();
  let open = null;
  let edited = null;
  let reporting = false;
  let drawing = false;
  let watched = "";
  let typed = { at: 0, room_id: null };
  let limits = null;
  let changes = Promise.resolve();

  const links = new Links((wanted) => wire.command("upload.url", wanted));
  const view = new View(state, {
    open: show,
    older,
    send,
    retry: (id) => again(open.sends.get(id)),
    discard,
    attach,
    link: (wanted) => links.get(wanted, draw),
    download,
    broken: (attachment_id) => links.broken(attachment_id) && draw(),
    direct: (other) => create({ type: "direct", members: [other] }),
    group: (name, members) => create({ type: "group", name, members, client_room_id: randomId() }),
    add,
    edit,
    remove: (key) => change(key, (at) => wire.command("message.delete", at)),
    react,
    expel: (user_id) => member("member.remove", { user_ids: [user_id] }),
    give: (user_id, role) => member("member.update", { user_id, role }),
    leave: () => member("room.leave", {}),
    mute: () => member("room.mute", { muted: !open.summary.muted }),
    hide: () => member("room.hide", { hidden: true }),
    types,
  });
  setInterval(report, REPORT);
  const wire = new Wire(user, {
    cursors: () => state.cursors(),
    onEvent: (event) => {
      state.apply(event);
      if (event.type === "session.ready") {
        limits = event.data.limits;
        session();
      }
      complete();
    },
    onState: (text, alive) => view.connection(text, alive),
  });
  document.addEventListener("visibilitychange", draw);

  function draw() {
    if (drawing) return;
    drawing = true;
    setTimeout(() => {
      drawing = false;
      if (open && (!state.rooms.has(open.room_id) || open.summary.hidden)) open = null;
      if (open && !open.held && wire.ready) newest(open);
      if (open && !document.hidden) open.read();
      view.render(open);
      report();
      watch();
    }, FRAME);
  }

  /** Run something that talks to the server, once at a time per key; tell the user if it fails. */
  async function guarded(key, work) {
    if (busy.has(key)) return;
    busy.add(key);
    try {
      await work();
    } catch (error) {
      view.notice(error.message);
    } finally {
      busy.delete(key);
      draw();
    }
  }

  /** What every connect needs: first the sends that have no ack yet, then the list of rooms. */
  function session() {
    for (const room of state.rooms.values()) flush(room);
    watched = "";
    guarded("rooms", async () => {
      let cursor;
      do {
        const page = await wire.command("room.list", { limit: PAGE, ...(cursor && { cursor }) });
        page.rooms.forEach((room) => state.learn(room));
        complete();
        cursor = page.next_cursor;
      } while (cursor);
    });
  }

  /** Say what has arrived and what was read; at most once a second. */
  function report() {
    if (reporting || !wire.ready) return;
    reporting = true;
    setTimeout(() => (reporting = false), REPORT);
    const behind = state.list().filter((room) => room.summary.seq > room.delivered_seq);
    const rooms = Object.fromEntries(behind.map((room) => [room.room_id, room.summary.seq]));
    if (behind.length)
      guarded("delivered", async () => {
        await wire.command("receipt.delivered", { rooms });
        for (const room of behind) room.delivered_seq = rooms[room.room_id];
      });
    if (open && open.read_seq > open.told_seq) {
      const [room, up_to_seq] = [open, open.read_seq];
      guarded("read", async () => {
        await wire.command("receipt.read", { room_id: room.room_id, up_to_seq });
        room.told_seq = Math.max(room.told_seq, up_to_seq);
      });
    }
  }

  /** Follow whoever is a member of a room; a watch ends with its connection. */
  function watch() {
    const user_ids = state.others();
    const wanted = user_ids.join(" ");
    if (wanted === watched || !wire.ready) return;
    guarded("watch", async () => {
      watched = wanted;
      state.present((await wire.command("presence.watch", { user_ids })).presences);
    });
  }

  /** Say that one types, again every 3 s while one does; nothing while away. */
  function types() {
    const { room_id } = open;
    if (!wire.ready || (typed.room_id === room_id && Date.now() - typed.at < TYPING)) return;
    typed = { at: Date.now(), room_id };
    wire.ask("typing.start", { room_id });
  }

  function typesNoMore({ room_id }) {
    if (typed.room_id !== room_id || !wire.ready) return;
    typed = { at: 0, room_id: null };
    wire.ask("typing.stop", { room_id });
  }

  /** Fetch what events and snapshots left open. */
  function complete() {
    state.stale().forEach(refresh);
    state.nameless().forEach(members);
    draw();
  }

  function refresh(room) {
    guarded(`room ${room.room_id}`, async () => {
      try {
        state.learn((await wire.command("room.get", { room_id: room.room_id })).room);
      } catch (error) {
        if (error.code !== "not_found") throw error;
        state.forget(room.room_id);
      }
    });
  }

  function members({ room_id }) {
    guarded(`members ${room_id}`, async () => {
      let cursor;
      do {
        const page = await wire.command("member.list", { room_id, ...(cursor && { cursor }) });
        state.meet(room_id, page.members);
        cursor = page.next_cursor;
      } while (cursor);
    });
  }

  function newest(room) {
    guarded(`messages ${room.room_id}`, async () => {
      room.hold();
      try {
        room.page(await wire.command("message.list", { room_id: room.room_id, limit: PAGE }));
      } catch (error) {
        room.reset();
        if (open === room) open = null;
        throw error;
      }
    });
  }

  function older() {
    const room = open;
    guarded(`messages ${room.room_id}`, async () => {
      const bound = { before_seq: room.oldest().seq, limit: PAGE };
      room.page(await wire.command("message.list", { room_id: room.room_id, ...bound }));
    });
  }

  function show(room_id) {
    if (edited !== null) edit(null);
    open = state.rooms.get(room_id);
    members(open);
    draw();
  }

  function create(payload) {
    guarded("create", async () => {
      const { room } = await wire.command("room.create", payload);
      state.learn(room);
      complete();
      show(room.room_id);
    });
  }

  function add(user_id) {
    const { room_id } = open;
    guarded("add", () => wire.command("member.add", { room_id, user_ids: [user_id] }));
  }

  /** A command on the open room. */
  function member(event, more) {
    const { room_id } = open;
    guarded(event, () => wire.command(event, { room_id, ...more }));
  }

  /** A command on a message of the open room, by the key of its row; behind those before it. */
  function change(key, work) {
    const { room_id } = open;
    const { message_id } = open.rows(user).find((row) => row.key === key);
    changes = changes.then(() => guarded("change", () => work({ room_id, message_id })));
  }

  function react(key, shown) {
    const emoji = shown.replaceAll("\ufe0f", ""); // as the server keeps it
    const { reactions } = open.rows(user).find((row) => row.key === key);
    const on = !reactions[emoji]?.user_ids.includes(user);
    change(key, (at) => wire.command("message.react", { ...at, emoji, on }));
  }

  /** From now on what is typed becomes the text of this message; null: a new one. */
  function edit(key) {
    edited = key;
    view.editing(key && open.rows(user).find((row) => row.key === key));
  }

  function send(text) {
    if (edited !== null) {
      const key = edited;
      change(key, (at) => wire.command("message.edit", { ...at, text }));
      return edit(null);
    }
    open.sends.add(randomId(), text, new Date().toISOString());
    flush(open);
    typesNoMore(open);
    draw();
  }

  function again(refused) {
    if (refused.files.some(({ attachment }) => !attachment)) return void carry(open, refused);
    refused.phase = "waiting";
    flush(open);
    draw();
  }

  function discard(id) {
    open.sends.get(id).files.forEach((file) => file.stop());
    open.sends.remove(id);
    draw();
  }

  /** What the store serves inline gets a tab of its own, opened while the click still counts. */
  function download(wanted, inline) {
    const where = inline ? window.open() : window;
    guarded("download", async () => (where.location = await links.fresh(wanted)));
  }

  /** Files that were chosen together become one message once all of them are in the store. */
  function attach(chosen) {
    const most = limits.attachment_bytes;
    if (chosen.length > limits.attachments)
      return view.notice(`At most ${limits.attachments} files in one message.`);
    for (const { name, size } of chosen) {
      if (!size) return view.notice(`${name} is empty.`);
      if (size > most) return view.notice(`${name} is larger than ${most / 2 ** 20} MiB.`);
    }
    const id = randomId();
    const files = chosen.map((file) => new Transfer(file));
    open.sends.add(id, "", new Date().toISOString(), files);
    carry(open, open.sends.get(id));
  }

  async function carry(room, each) {
    each.phase = "uploading";
    draw();
    try {
      await Promise.all(each.files.map((file) => file.run(wire, room.room_id, draw)));
      for (const { attachment, url } of each.files) links.keep(attachment.attachment_id, url);
      each.phase = "waiting";
    } catch (error) {
      [each.phase, each.error] = ["refused", error];
    }
    flush(room);
    draw();
  }

  function flush(room) {
    if (wire.ready) room.sends.due(Date.now()).forEach((each) => fly(room, each));
  }

  async function fly(room, each) {
    each.phase = "flying";
    const { room_id } = room;
    const { client_msg_id, text, files } = each;
    const attachments = files.map(({ attachment }) => attachment.attachment_id);
    const message = { room_id, client_msg_id, text, ...(files.length && { attachments }) };
    const answer = await wire.ask("message.send", message);
    if (answer.ok) room.acked(each, answer.data, user);
    else room.sends.refuse(each, answer.error, Date.now());
    setTimeout(() => flush(room), Math.max(0, each.not_before - Date.now()));
    draw();
  }
}

const user = new URLSearchParams(location.search).get("user");
if (user) start(user);
else document.getElementById("sign-in").hidden = false;
