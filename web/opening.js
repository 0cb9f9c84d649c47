// @ts-check
// A chat that is being made, which waits for a connection: what is written in it goes into the room then.

/** @typedef {import("./vendor/rts-chat.min.js").Room} Room */

export class Opening {
  /** What is typed and not sent. */
  draft = "";
  /** What was sent, in order. @type {readonly string[]} */
  texts = [];

  /** @param {string} title */
  constructor(title) {
    this.title = title;
  }

  /** Nothing of it is lost by leaving now. */
  get isEmpty() {
    return !this.draft && !this.texts.length;
  }

  /** @param {string} text */
  send(text) {
    this.texts = [...this.texts, text];
    this.draft = "";
  }

  /** @param {number} index of a text that is not to be sent */
  cancel(index) {
    this.texts = this.texts.filter((_, one) => one !== index);
  }

  /** It is made. @param {Room} room */
  moveInto(room) {
    for (const text of this.texts) room.send({ text });
    if (this.draft && !room.draft.value) room.draft.set(this.draft);
  }
}
