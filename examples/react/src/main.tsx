import { useEffect, useState } from "react";
import { createRoot } from "react-dom/client";
import { createClient, indexedDbStorage } from "rts-chat";
import { ChatProvider, usePresence, useRoom, useRooms, useUnread } from "rts-chat/react";

const server = import.meta.env.VITE_CHAT_URL ?? "http://127.0.0.1:8000";
const user = new URLSearchParams(location.search).get("user") ?? "alice";
const chat = createClient({
  url: server,
  getToken: async () => (await (await fetch(`${server}/dev/token?user=${user}`)).json()).token,
  userId: user,
  storage: indexedDbStorage(), // what is unsent survives a reload
});

function App() {
  const rooms = useRooms();
  const presences = usePresence(rooms.flatMap(({ partner }) => partner ?? []));
  const [open, setOpen] = useState<string>();
  return (
    <>
      <h1>Chat <output id="unread">{useUnread().total}</output></h1>
      <Line id="start" act={async (whom) => setOpen((await chat.direct(whom)).room_id)} />
      <nav id="rooms">
        {rooms.map(({ room_id, title, unread, partner = "" }) => (
          <button key={room_id} onClick={() => setOpen(room_id)}>
            {title} ({unread}) {presences[partner]?.state}
          </button>
        ))}
      </nav>
      {open && <Room room_id={open} />}
    </>
  );
}

function Room({ room_id }: { room_id: string }) {
  const { title, messages, typing, actions } = useRoom(room_id); // watched while it is mounted
  const last = messages.at(-1)?.seq ?? 0;
  useEffect(() => actions.markVisible(last), [actions, last]); // in view: read, once the window has the focus
  const lines = messages.map(({ key, sender_id, text, status }) => (
    <li key={key}>{chat.name(sender_id)}: {text} {status}</li>
  ));
  return (
    <>
      <h2 id="title">{typing.length > 0 ? `${title}, typing…` : title}</h2>
      <ol id="messages">{lines}</ol>
      <Line id="compose" act={(text) => actions.send({ text })} onInput={() => actions.typing()} />
    </>
  );
}

function Line({ id, act, onInput }: { id: string; act: (text: string) => unknown; onInput?: () => void }) {
  return (
    <form id={id} action={(form) => void act(String(form.get("text")))}>
      <input name="text" required onInput={onInput} /><button>OK</button>
    </form>
  );
}

createRoot(document.getElementById("root")!).render(<ChatProvider client={chat}><App /></ChatProvider>);
