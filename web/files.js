// Files: to the store by a signed form, from it by links that die by themselves.

const LINK_MAY_BE_DEAD = 60_000;

const base64 = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes)));

async function digest(file) {
  return base64(await crypto.subtle.digest("SHA-256", await file.arrayBuffer()));
}

/** Width and height of a picture; nothing of anything else, nor of what is no picture after all. */
async function sides(file) {
  if (!file.type.startsWith("image/")) return {};
  try {
    const { width, height } = await createImageBitmap(file);
    return { width, height };
  } catch {
    return {};
  }
}

/** One file on its way: hashed, granted, posted, completed. What is done is not done again. */
export class Transfer {
  #file;
  #request = new XMLHttpRequest();

  constructor(file) {
    this.#file = file;
    this.name = file.name;
    this.size = file.size;
    this.content_type = file.type || "application/octet-stream";
    this.url = URL.createObjectURL(file);
    this.sent = 0;
    this.attachment = null;
  }

  /** To the store; `onProgress` hears when `sent` (bytes) has moved. Throws what went wrong. */
  async run(wire, room_id, onProgress) {
    if (this.attachment) return;
    const { name, size, content_type } = this;
    const checksum_sha256 = await digest(this.#file);
    const file = { name, size, content_type, checksum_sha256, ...(await sides(this.#file)) };
    const { attachment_id, url, fields } = await wire.command("upload.request", {
      room_id,
      ...file,
    });
    await this.#post(url, fields, onProgress);
    const done = await wire.command("upload.complete", { room_id, attachment_id });
    this.attachment = done.attachment;
  }

  /** Nobody wants it any more. */
  stop() {
    this.#request.abort();
  }

  /** As a message would show it. */
  shown() {
    const { name, size, content_type, url, sent } = this;
    return { attachment_id: url, name, size, content_type, url, sent };
  }

  #post(url, fields, onProgress) {
    const form = new FormData();
    for (const [name, value] of Object.entries(fields)) form.append(name, value);
    form.append("file", this.#file); // the store reads nothing behind it
    return new Promise((done, fail) => {
      const request = this.#request;
      request.upload.onprogress = ({ loaded, total }) => {
        this.sent = Math.floor((loaded / total) * this.size);
        onProgress();
      };
      request.onload = () =>
        request.status < 300 ? done() : fail(new Error(`The store said ${request.status}.`));
      request.onerror = () => fail(new Error("The store cannot be reached."));
      request.onabort = () => fail(new Error("Cancelled."));
      request.open("POST", url);
      request.send(form);
    });
  }
}

/** Addresses of files, asked for when they are to be seen. */
export class Links {
  #ask;
  #known = new Map();

  /** `ask(wanted)` answers upload.url, or throws. */
  constructor(ask) {
    this.#ask = ask;
  }

  /** Show this instead of asking: the file is on this machine. */
  keep(attachment_id, url) {
    this.#known.set(attachment_id, { url, at: Infinity });
  }

  /** The address as far as it is known; else it is asked for, once, and `onChange` is called. */
  get(wanted, onChange) {
    const { attachment_id } = wanted;
    if (!this.#known.has(attachment_id)) {
      this.#known.set(attachment_id, {});
      this.fresh(wanted).then(onChange, () => {});
    }
    return this.#known.get(attachment_id).url;
  }

  /** An address that lives for some minutes from now. */
  async fresh(wanted) {
    const { url } = await this.#ask(wanted);
    this.#known.set(wanted.attachment_id, { url, at: Date.now() });
    return url;
  }

  /** It could not be loaded; true when an old address may be why, and is forgotten. */
  broken(attachment_id) {
    const { at = Infinity } = this.#known.get(attachment_id) ?? {};
    return Date.now() - at > LINK_MAY_BE_DEAD && this.#known.delete(attachment_id);
  }
}
