import "./dom.ts";
import "@angular/compiler";
import assert from "node:assert/strict";
import { test } from "node:test";
import { Component, inject, provideZonelessChangeDetection, signal, type Type } from "@angular/core";
import { bootstrapApplication } from "@angular/platform-browser";
import { Chat } from "../src/angular.ts";
import type { RoomSummary } from "../src/index.ts";
import { until } from "./dom.ts";
import { FakeChat } from "./fake.ts";

const room = signal<string | undefined>(undefined);

class Page {
  readonly chat = inject(Chat);
  readonly messages = this.chat.messages(room);
  readonly state = this.chat.state(room);
  readonly presences = this.chat.presence(["bob"]);
}

const template = `@for (line of chat.rooms(); track line.room_id) {<i>{{ line.title }}</i>} | {{ state()?.title }} |
  @for (message of messages(); track message.key) {<p>{{ message.text }}</p>} | {{ chat.unread().total }} |
  {{ chat.connection().status }} | {{ presences()["bob"] ? "here" : "" }}`;

// As the decorator does it; Node does not know decorators.
const shownPage = Component({ selector: "chat-page", template })(Page) as Type<Page>;

test("Angular renders what the client holds, and watches what is shown", async () => {
  const fake = new FakeChat();
  document.body.innerHTML = "<chat-page></chat-page>";
  const shown = () => document.body.textContent.replace(/\s+/g, " ").trim();
  const app = await bootstrapApplication(shownPage, {
    providers: [provideZonelessChangeDetection(), { provide: Chat, useFactory: () => new Chat(fake.client) }],
  });

  await until(() => shown() === "| | | 0 | offline |");
  assert.deepEqual(fake.calls.filter((call) => call.startsWith("watch")), []);
  room.set("r");
  await until(() => shown() === "| Team | | 0 | offline |");
  fake.says("r", "one", "two");
  fake.unread.set({ total: 2, rooms: 1 });
  fake.list.set([{ room_id: "r", title: "Team" } as RoomSummary]);
  fake.presences.set({ bob: {} });
  fake.connection.set({ status: "online" });
  await until(() => shown() === "Team | Team | onetwo | 2 | online | here");

  room.set("other");
  await until(() => fake.calls.includes("unwatch r"));
  assert.ok(fake.calls.includes("watch other"));
  app.destroy();
  const watched = (call: string) => fake.calls.filter((one) => one === call).length;
  assert.equal(watched("watch other"), watched("unwatch other"));
});
