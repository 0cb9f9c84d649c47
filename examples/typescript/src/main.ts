import { createClient, indexedDbStorage, type Room } from "rts-chat";

const server = import.meta.env.VITE_CHAT_URL ?? "http://127.0.0.1:8000";
const user = new URLSearchParams(location.search).get("user") ?? "alice";
const chat = createClient({
  url: server,
  getToken: async () => (await (await fetch(`${server}/dev/token?user=${user}`)).json()).token,
  userId: user,
  storage: indexedDbStorage(), // what is unsent survives a reload
});

const find = <T extends HTMLElement>(selector: string) => document.querySelector<T>(selector)!;
const line = (tag: string, textContent: string) => Object.assign(document.createElement(tag), { textContent });
const nothing = () => {};
let [stopRoom, stopPresence] = [nothing, nothing];
let room: Room | undefined;

function open(next: Room) {
  stopRoom();
  room = next;
  const stops = [next.watch()]; // loads messages and members, and keeps them
  const stop = next.state.subscribe(({ title, messages, typing }) => {
    find("#title").textContent = typing.length > 0 ? `${title}, typing…` : title;
    const rows = messages.map(({ sender_id, text, status }) => `${chat.name(sender_id)}: ${text} ${status ?? ""}`);
    find("#messages").replaceChildren(...rows.map((row) => line("li", row)));
    next.markVisible(messages.at(-1)?.seq ?? 0); // in view: read, once the window has the focus
  });
  stopRoom = () => [...stops, stop].forEach((end) => end());
}

function onSubmit(form: string, act: (text: string) => void) {
  find<HTMLFormElement>(form).onsubmit = (event) => {
    event.preventDefault();
    act(find<HTMLInputElement>(`${form} input`).value);
    find<HTMLFormElement>(form).reset();
  };
}

onSubmit("#start", (whom) => void chat.direct(whom).then(open, alert));
onSubmit("#compose", (text) => room?.send({ text }));
find("#compose input").oninput = () => room?.typing();

chat.unread.subscribe(({ total }) => (find("#unread").textContent = String(total)));
chat.rooms().subscribe((rooms) => {
  stopPresence();
  const partners = rooms.flatMap(({ partner }) => partner ?? []);
  stopPresence = chat.presence(partners).subscribe((presences) => {
    const buttons = rooms.map(({ room_id, title, unread, partner = "" }) => {
      const button = line("button", `${title} (${unread}) ${presences[partner]?.state ?? ""}`);
      button.onclick = () => open(chat.room(room_id));
      return button;
    });
    find("#rooms").replaceChildren(...buttons);
  });
});
chat.connect();
