// @ts-check
// Addresses of files: of one's own as long as this window knows them, else those that the store gives.

/** @typedef {import("./vendor/rts-chat.min.js").Room} Room */
/** @typedef {import("./vendor/rts-chat.min.js").ShownMessage} ShownMessage */
/** @typedef {ShownMessage["attachments"][number]} Attachment */

/**
 * A file as a row shows it.
 * @typedef {Pick<Attachment, "name" | "size" | "content_type" | "width" | "height">
 *   & { id: string, url?: string | undefined, broken: boolean }} ShownFile
 */

const MAY_BE_DEAD = 60_000; // ms after which an address that does not work is asked for again
const PICTURES = ["image/png", "image/jpeg", "image/gif", "image/webp"];

/** @param {{ content_type: string }} file */
export const isPicture = ({ content_type }) => PICTURES.includes(content_type);
/** @param {{ content_type: string }} file */
export const isVideo = ({ content_type }) => content_type.split(";")[0] === "video/mp4";

export class Files {
  #changed;
  /** @type {Map<string, { url?: string, at: number }>} */
  #known = new Map();
  /** Object URLs of what this window sends, by key of the message. @type {Map<string, string[]>} */
  #own = new Map();
  /** Sizes of pictures that nobody told, by id. @type {Map<string, { width: number, height: number }>} */
  #sizes = new Map();
  /** Ids of files that could not be loaded. @type {Set<string>} */
  #broken = new Set();

  /** @param {() => void} changed */
  constructor(changed) {
    this.#changed = changed;
  }

  /** The files of a message. @param {Room} room @param {ShownMessage} message @returns {ShownFile[]} */
  of(room, message) {
    const own = this.#previews(message);
    if (!message.message_id && message.files)
      return message.files.map(({ name, size, type }, index) => {
        const content_type = type || "application/octet-stream";
        const id = `${message.key}/${index}`;
        return { id, name, size, content_type, ...this.#sizes.get(id), url: own?.[index], broken: this.#broken.has(id) };
      });
    return message.attachments.map((file, index) => ({
      ...this.#sizes.get(file.attachment_id),
      ...file,
      id: file.attachment_id,
      url: own?.[index] ?? this.#url(room, message, file),
      broken: this.#broken.has(file.attachment_id),
    }));
  }

  /** A picture is here: how large it is. @param {string} id @param {HTMLImageElement} image */
  loaded(id, { naturalWidth: width, naturalHeight: height }) {
    if (this.#sizes.has(id) || !width || !height) return;
    this.#sizes.set(id, { width, height });
    this.#changed();
  }

  /** A file could not be loaded: with an address that may be too old, ask for another one first.
   * @param {string} id */
  failed(id) {
    const known = this.#known.get(id);
    if (known && Date.now() - known.at > MAY_BE_DEAD) this.#known.delete(id);
    else this.#broken.add(id);
    this.#changed();
  }

  /** Try again what could not be loaded: one file, or all. @param {string} [id] */
  retry(id) {
    for (const one of id === undefined ? [...this.#broken] : [id]) {
      this.#broken.delete(one);
      this.#known.delete(one);
    }
    this.#changed();
  }

  /** @param {ShownMessage} message */
  #previews({ key, files }) {
    if (files && !this.#own.has(key))
      this.#own.set(key, files.map((file) => URL.createObjectURL(file)));
    return this.#own.get(key);
  }

  /** @param {Room} room @param {ShownMessage} message @param {Attachment} file */
  #url(room, { message_id }, file) {
    const id = file.attachment_id;
    if (!message_id || !(isPicture(file) || isVideo(file))) return undefined;
    const known = this.#known.get(id);
    if (known || this.#broken.has(id)) return known?.url;
    this.#known.set(id, { at: Date.now() });
    room.fileUrl(message_id, id).then(
      (url) => {
        this.#known.set(id, { url, at: Date.now() });
        this.#changed();
      },
      () => {
        this.#known.delete(id);
        this.failed(id);
      },
    );
    return undefined;
  }
}
