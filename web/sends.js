// What this user wants said in one room and the server has not acked yet, in the order of typing.
// A send is "uploading" (its files), "waiting", "flying" (un-acked) or "refused" (for good, until the
// user says retry).

const LONGEST_PAUSE = 10_000;

export class Sends {
  constructor() {
    this.list = [];
  }

  /** Append a send; its client_msg_id is random, because a counter repeats after a reload. */
  add(client_msg_id, text, created_at, files = []) {
    const phase = files.length ? "uploading" : "waiting";
    this.list.push({
      client_msg_id,
      text,
      created_at,
      files,
      phase,
      attempts: 0,
      not_before: 0,
    });
  }

  get(client_msg_id) {
    return this.list.find((send) => send.client_msg_id === client_msg_id);
  }

  /** Sends that may go out now (ms): in order, and nothing behind one that is being repeated. Files
   * that are still on their way hold up nobody. */
  due(now) {
    const due = [];
    const ready = this.list.filter(({ phase }) => phase !== "refused" && phase !== "uploading");
    for (const send of ready) {
      if (send.phase === "waiting") {
        if (send.not_before > now) break;
        due.push(send);
      }
      if (send.attempts > 0) break;
    }
    return due;
  }

  /** Note a refusal: a retryable one waits for its next turn, any other for the user. */
  refuse(send, error, now) {
    send.error = error;
    send.phase = error.retryable ? "waiting" : "refused";
    if (!error.retryable) return;
    const pause = error.retry_after_ms ?? Math.min(500 * 2 ** send.attempts, LONGEST_PAUSE);
    send.attempts += 1;
    send.not_before = now + pause;
  }

  remove(client_msg_id) {
    this.list = this.list.filter((send) => send.client_msg_id !== client_msg_id);
  }
}
