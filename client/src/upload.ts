import type { Attachment, GrantedAnswer } from "../types.js";
import type { Commander } from "./connection.ts";
import { refusal } from "./error.ts";

/** A file on its way into the store: hashed, granted, posted, completed. What is done is not done again. */
export class Upload {
  readonly file: File;
  /** Bytes that the store has taken; in Node it stays 0 until all are there. */
  sent = 0;
  attachment: Attachment | undefined;
  readonly #abort = new AbortController();

  constructor(file: File) {
    this.file = file;
  }

  /** Rejects with what went wrong; it may be called again then. */
  async run(connection: Commander, room_id: string, moved: () => void): Promise<void> {
    if (this.attachment) return;
    const { name, size, type } = this.file;
    const described = { name, size, content_type: type || "application/octet-stream" };
    const [checksum_sha256, sides] = await Promise.all([digest(this.file), sidesOf(this.file)]);
    const wanted = { room_id, ...described, checksum_sha256, ...sides };
    const grant = await connection.command("upload.request", wanted);
    await this.#post(grant, moved);
    const { attachment_id } = grant;
    const { attachment } = await connection.command("upload.complete", { room_id, attachment_id });
    this.sent = size;
    this.attachment = attachment;
  }

  stop(): void {
    this.#abort.abort();
  }

  async #post({ url, fields }: GrantedAnswer, moved: () => void): Promise<void> {
    const form = new FormData();
    for (const [name, value] of Object.entries(fields)) form.append(name, value);
    form.append("file", this.file); // last: the store reads nothing behind it
    const status = await (typeof XMLHttpRequest === "undefined"
      ? this.#fetch(url, form)
      : this.#request(url, form, moved));
    if (status >= 300) throw refusal("upload_failed", `The store answered ${status}.`, status >= 500);
  }

  async #fetch(url: string, body: FormData): Promise<number> {
    try {
      return (await fetch(url, { method: "POST", body, signal: this.#abort.signal })).status;
    } catch {
      throw refusal("upload_failed", "The store cannot be reached.", true);
    }
  }

  /** fetch tells no progress. */
  #request(url: string, form: FormData, moved: () => void): Promise<number> {
    const request = new XMLHttpRequest();
    this.#abort.signal.addEventListener("abort", () => request.abort());
    return new Promise((resolve, reject) => {
      const fail = () => reject(refusal("upload_failed", "The store cannot be reached.", true));
      request.upload.onprogress = ({ loaded, total }) => {
        this.sent = Math.floor((loaded / total) * this.file.size);
        moved();
      };
      request.onload = () => resolve(request.status);
      request.onerror = request.onabort = fail;
      request.open("POST", url);
      request.send(form);
    });
  }
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
