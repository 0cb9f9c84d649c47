// Nodes that more than one part of the page is made of.

export function element(tag, className, ...children) {
  const node = document.createElement(tag);
  node.className = className;
  node.append(...children);
  return node;
}

const PICTURES = ["image/png", "image/jpeg", "image/gif", "image/webp"];
const UNITS = ["B", "KB", "MB"];

function bytes(count) {
  const unit = Math.min(Math.floor(Math.log2(count) / 10), UNITS.length - 1);
  return `${(count / 2 ** (10 * unit)).toFixed(unit && 1)} ${UNITS[unit]}`;
}

/** One file of a row: the thing itself where a browser shows it, a button that downloads it. `link` is
 * asked for the address. */
export function fileItem({ room_id, message_id, uploading }, file, link) {
  const { attachment_id, name, size, content_type, width, height } = file;
  const item = element("div", "file");
  const wanted = { room_id, message_id, attachment_id };
  const picture = PICTURES.includes(content_type);
  Object.assign(item.dataset, wanted);
  const inline = picture || content_type.split(";")[0] === "video/mp4";
  if (inline) {
    item.dataset.inline = "";
    const url = file.url ?? link(wanted);
    const shown = element(picture ? "img" : "video", "");
    if (width) [shown.width, shown.height] = [width, height];
    if (picture) shown.alt = name;
    else shown.controls = true;
    if (url) shown.src = url;
    item.append(url ? shown : element("div", "loading"));
  }
  const caption = element("button", "download", name, " ", element("span", "size", bytes(size)));
  caption.disabled = !message_id;
  item.append(caption);
  if (uploading) {
    const bar = element("progress", "");
    bar.setAttribute("max", size);
    bar.setAttribute("value", file.sent);
    item.append(bar);
  }
  return item;
}
