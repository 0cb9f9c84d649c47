import { Component, computed, effect, inject, signal } from "@angular/core";
import { Chat } from "rts-chat/angular";

@Component({
  selector: "chat-app",
  template: `
    <h1>Chat <output id="unread">{{ chat.unread().total }}</output></h1>
    <form id="start" (submit)="start($event, whom.value)"><input #whom required /><button>Open</button></form>
    <nav id="rooms">
      @for (room of chat.rooms(); track room.room_id) {
        <button (click)="open.set(room.room_id)">
          {{ room.title }} ({{ room.unread }}) {{ presences()[room.partner ?? ""]?.state }}
        </button>
      }
    </nav>
    @if (state(); as room) {
      <h2 id="title">{{ room.title }}{{ room.typing.length > 0 ? ", typing…" : "" }}</h2>
      <ol id="messages">
        @for (message of room.messages; track message.key) {
          <li>{{ chat.client.name(message.sender_id) }}: {{ message.text }} {{ message.status }}</li>
        }
      </ol>
      <form id="compose" (submit)="send($event, room.room_id, text.value); text.value = ''">
        <input #text required (input)="chat.room(room.room_id).typing()" /><button>Send</button>
      </form>
    }
  `,
})
export class App {
  readonly chat = inject(Chat);
  readonly open = signal<string | undefined>(undefined);
  readonly state = this.chat.state(this.open); // watched while it is shown
  readonly partners = computed(() => this.chat.rooms().flatMap(({ partner }) => partner ?? []));
  readonly presences = this.chat.presence(this.partners);

  readonly reads = effect(() => {
    const last = this.state()?.messages.at(-1); // in view: read, once the window has the focus
    if (last?.seq) this.chat.room(last.room_id).markVisible(last.seq);
  });

  async start(event: Event, whom: string) {
    event.preventDefault();
    this.open.set((await this.chat.client.direct(whom)).room_id);
  }

  send(event: Event, room_id: string, text: string) {
    event.preventDefault();
    this.chat.room(room_id).send({ text });
  }
}
