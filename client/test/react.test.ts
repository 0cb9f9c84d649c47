import "./dom.ts";
import assert from "node:assert/strict";
import { test } from "node:test";
import { createElement } from "react";
import { createRoot } from "react-dom/client";
import { ChatProvider, useConnection, useMessages, usePresence, useRoom, useRooms, useTyping, useUnread } from "../src/react.ts";
import type { RoomSummary } from "../src/index.ts";
import { until } from "./dom.ts";
import { FakeChat } from "./fake.ts";

function Chat({ room_id }: { room_id: string }) {
  const rooms = useRooms().map(({ title }) => title);
  const messages = useMessages(room_id).map(({ text }) => text);
  const { title } = useRoom(room_id);
  const { total } = useUnread();
  const { status } = useConnection();
  const presences = Object.keys(usePresence(["bob"]));
  const typing = useTyping(room_id);
  return [rooms, title, messages, total, status, presences, typing].join(" | ");
}

test("React renders what the client holds, and watches what is mounted", async () => {
  const fake = new FakeChat();
  const { client } = fake;
  const host = document.createElement("div");
  const shown = () => host.textContent;
  const page = createRoot(host);
  const render = (room_id: string) =>
    page.render(createElement(ChatProvider, { client }, createElement(Chat, { room_id })));

  render("r");
  await until(() => shown() === " | Team |  | 0 | offline |  | ");
  await until(() => fake.calls.includes("connect"));
  fake.says("r", "one", "two");
  fake.unread.set({ total: 2, rooms: 1 });
  fake.list.set([{ title: "Team" } as RoomSummary]);
  fake.presences.set({ bob: {} });
  fake.connection.set({ status: "online" });
  await until(() => shown() === "Team | Team | one,two | 2 | online | bob | ");

  render("other");
  await until(() => fake.calls.includes("unwatch r"));
  assert.ok(fake.calls.includes("watch other"));
  page.unmount();
  await until(() => fake.calls.includes("close"));
  const watched = (call: string) => fake.calls.filter((one) => one === call).length;
  assert.equal(watched("watch other"), watched("unwatch other"));
});
