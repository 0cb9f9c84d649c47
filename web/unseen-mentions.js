// @ts-check
// Where the user is named in the open room and has not looked yet. That is not the same as unread: who goes to
// the newest message at once has read all above it.

/** @typedef {import("./vendor/rts-chat.min.js").ShownMessage} ShownMessage */

export class UnseenMentions {
  #user;
  /** What was read before the room was opened was seen then: a seq. */
  #before = Infinity;
  /** Keys of what was in view since. @type {Set<string>} */
  #seen = new Set();

  /** @param {string} user */
  constructor(user) {
    this.#user = user;
  }

  /** Another room is open. @param {number} seen the seq up to which it was read */
  begin(seen) {
    this.#before = seen;
    this.#seen.clear();
  }

  /** In their order. @param {readonly ShownMessage[]} messages of the room
   * @param {(message: ShownMessage) => boolean} isGone whether it is shown as deleted */
  of(messages, isGone) {
    /** @type {ShownMessage[]} */
    const found = [];
    for (let index = messages.length - 1; index >= 0; index -= 1) {
      const message = messages[index];
      if (message?.seq !== undefined && message.seq <= this.#before) break;
      if (message && this.#names(message) && !this.#seen.has(message.key) && !isGone(message)) found.push(message);
    }
    return found.reverse();
  }

  /** @param {readonly ShownMessage[]} messages in view of somebody */
  see(messages) {
    for (const message of messages) if (this.#names(message)) this.#seen.add(message.key);
  }

  /** @param {ShownMessage} message */
  #names({ own, mentions }) {
    return !own && mentions.includes(this.#user);
  }
}
