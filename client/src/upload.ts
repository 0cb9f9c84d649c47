import type { Attachment, GrantedAnswer } from "../types.js";
import { backoff, pause } from "./backoff.ts";
import type { Commander } from "./connection.ts";
import { asChatError, type ChatError, refusal } from "./error.ts";

/** ms in which the store must take some bytes, or answer: else it has stalled. */
const STALL = 30_000;
/** Bytes per ms that it must take where no progress is told, as in Node. */
const SLOWEST = 16;
/** Of one file, while the store cannot be reached, fails or stalls; then the message is refused. */
const ATTEMPTS = 5;
const PAUSE = 1_000; // ms before the second, doubling

/** A file on its way into the store: hashed, granted, posted, completed. What is done is not done again. */
export class Upload {
  readonly file: File;
  /** Bytes that the store has taken; in Node it stays 0 until all are there. */
  sent = 0;
  attachment: Attachment | undefined;
  #abort = new AbortController();

  constructor(file: File) {
    this.file = file;
  }

  /** Rejects with what went wrong, and at once when it is stopped (`closed`); it may be called again then. */
  async run(connection: Commander, room_id: string, moved: () => void): Promise<void> {
    if (this.attachment) return;
    const { signal } = (this.#abort = new AbortController());
    const stopped = new Promise<never>((_, reject) => {
      signal.addEventListener("abort", () => reject(refusal("closed", "The upload was stopped.")));
    });
    await Promise.race([stopped, this.#carry(connection, room_id, moved, signal)]);
  }

  stop(): void {
    this.#abort.abort();
  }

  /** What the store does not take now it may take later, under another grant. */
  async #carry(connection: Commander, room_id: string, moved: () => void, signal: AbortSignal): Promise<void> {
    for (let attempt = 1; !signal.aborted && !this.attachment; attempt += 1) {
      try {
        await this.#try(connection, room_id, moved, signal);
      } catch (error) {
        const { code, retryable } = asChatError(error);
        if (code !== "upload_failed" || !retryable || attempt === ATTEMPTS) throw error;
        this.sent = 0;
        moved();
        await pause(backoff(attempt - 1, PAUSE));
      }
    }
  }

  async #try(connection: Commander, room_id: string, moved: () => void, signal: AbortSignal): Promise<void> {
    const { name, size, type } = this.file;
    const described = { name, size, content_type: type || "application/octet-stream" };
    const [checksum_sha256, sides] = await Promise.all([digest(this.file), sidesOf(this.file)]);
    signal.throwIfAborted();
    const wanted = { room_id, ...described, checksum_sha256, ...sides };
    const grant = await connection.command("upload.request", wanted);
    signal.throwIfAborted();
    await this.#post(grant, moved, signal);
    const { attachment_id } = grant;
    const { attachment } = await connection.command("upload.complete", { room_id, attachment_id });
    this.sent = size;
    this.attachment = attachment;
  }

  async #post({ url, fields }: GrantedAnswer, moved: () => void, signal: AbortSignal): Promise<void> {
    const form = new FormData();
    for (const [name, value] of Object.entries(fields)) form.append(name, value);
    form.append("file", this.file); // last: the store reads nothing behind it
    const isPage = typeof XMLHttpRequest !== "undefined";
    const patience = new Patience(isPage ? STALL : STALL + this.file.size / SLOWEST, signal);
    try {
      const status = await (isPage ? this.#request(url, form, moved, patience) : this.#fetch(url, form, patience));
      if (status >= 300) throw refusal("upload_failed", `The store answered ${status}.`, isPassing(status));
    } finally {
      patience.end();
    }
  }

  async #fetch(url: string, body: FormData, { signal, error }: Patience): Promise<number> {
    try {
      return (await fetch(url, { method: "POST", body, signal })).status;
    } catch {
      throw error();
    }
  }

  /** fetch tells no progress. */
  #request(url: string, form: FormData, moved: () => void, patience: Patience): Promise<number> {
    const request = new XMLHttpRequest();
    patience.signal.addEventListener("abort", () => request.abort());
    return new Promise((resolve, reject) => {
      request.upload.onprogress = ({ loaded, total }) => {
        patience.begin();
        this.sent = Math.floor((loaded / total) * this.file.size);
        moved();
      };
      request.onload = () => resolve(request.status);
      request.onerror = request.onabort = () => reject(patience.error());
      request.open("POST", url);
      request.send(form);
    });
  }
}

/** Of the store's answers, those that another time may not give. */
const isPassing = (status: number): boolean => status >= 500 || status === 408 || status === 429;

/** Ends a request that is stopped, or has not moved for `ms`. */
class Patience {
  readonly signal: AbortSignal;
  readonly #abort = new AbortController();
  readonly #ms: number;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isOver = false;

  constructor(ms: number, stopped: AbortSignal) {
    this.#ms = ms;
    this.signal = this.#abort.signal;
    stopped.addEventListener("abort", () => this.#abort.abort());
    this.begin();
  }

  /** It moves. */
  begin(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#isOver = true;
      this.#abort.abort();
    }, this.#ms);
  }

  end(): void {
    clearTimeout(this.#timer);
  }

  readonly error = (): ChatError =>
    refusal("upload_failed", this.#isOver ? "The store takes nothing any more." : "The store cannot be reached.", true);
}

async function digest(file: File): Promise<string> {
  const content = await file.arrayBuffer().catch(() => {
    throw refusal("file_lost", "The file cannot be read any more."); // it was moved, or changed
  });
  const bytes = await crypto.subtle.digest("SHA-256", content);
  return btoa(String.fromCharCode(...new Uint8Array(bytes)));
}

/** Width and height of a picture; nothing of anything else, nor of what is no picture after all. */
async function sidesOf(file: File): Promise<{ width?: number; height?: number }> {
  if (!file.type.startsWith("image/") || typeof createImageBitmap === "undefined") return {};
  try {
    const { width, height } = await createImageBitmap(file);
    return { width, height };
  } catch {
    return {};
  }
}
