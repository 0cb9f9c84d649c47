import type { Commander } from "./connection.ts";

const SPARE = 30_000; // ms before its end at which an address is not given any more

/** Addresses of the files of a room: asked for when they are to be seen, kept while they work. */
export class Links {
  readonly #connection: Commander;
  readonly #room_id: string;
  readonly #known = new Map<string, { url: Promise<string>; until: number }>();

  constructor(connection: Commander, room_id: string) {
    this.#connection = connection;
    this.#room_id = room_id;
  }

  url(message_id: string, attachment_id: string): Promise<string> {
    const known = this.#known.get(attachment_id);
    if (known && known.until > Date.now()) return known.url;
    const link = { url: this.#ask(message_id, attachment_id), until: Infinity };
    this.#known.set(attachment_id, link);
    return link.url;
  }

  async #ask(message_id: string, attachment_id: string): Promise<string> {
    const wanted = { room_id: this.#room_id, message_id, attachment_id };
    try {
      const { url, expires_at } = await this.#connection.command("upload.url", wanted);
      const link = this.#known.get(attachment_id);
      if (link) link.until = Date.parse(expires_at) - SPARE;
      return url;
    } catch (error) {
      this.#known.delete(attachment_id);
      throw error;
    }
  }
}
