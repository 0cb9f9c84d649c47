// @ts-check
// Everything that the page says, in one place.

/** @param {number} count @param {string} one @param {string} many */
const plural = (count, one, many) => `${count} ${count === 1 ? one : many}`;

export const t = {
  product: "rts_server",
  pitch: "Type any name; a second window with another name is the other person.",
  yourName: "Your name",
  yourNameHint: "e.g. alice",
  signIn: "Sign in",
  signOut: "Sign out",
  signOutTitle: "Sign out?",
  /** @param {number} messages @param {number} changes @param {string} name */
  signOutText: (messages, changes, name) => {
    const sent = messages > 0 && `${plural(messages, "message is", "messages are")} not sent yet.`;
    const saved = changes > 0 && `${plural(changes, "change is", "changes are")} not saved yet.`;
    const all = [sent, saved].filter(Boolean).join(" ");
    return `${all} This browser keeps that, and sends it when ${name} signs in here again.`;
  },
  /** @param {number} count @param {string} title */
  notSent: (count, title) => `${plural(count, "message", "messages")} to ${title || "a chat"} ${count === 1 ? "was" : "were"} not sent.`,
  /** @param {number} count @param {string} title */
  notSentThere: (count, title) => `${t.notSent(count, title)} You are not a member of it any more.`,
  show: "Show",
  notSentTitle: "Not sent",
  ownName: "That is you. Enter the name of somebody else.",
  noName: "Enter a name for the group.",
  noPerson: "Enter a name.",
  /** @param {number} most @param {number} length */
  longName: (most, length) => `At most ${most} characters; this has ${length}.`,
  badName: "A name has 1 to 128 letters (a to z), digits or signs, without spaces.",
  /** @param {string} user */
  secondWindow: (user) => `Open a second window as ${user}`,
  theme: "Colours",
  themes: { system: "As the system", light: "Light", dark: "Dark" },
  presence: "Your presence",
  statusText: "Your status",
  statusHint: "e.g. In a meeting",
  statusSaved: "Your status is shown to others.",
  statusCleared: "Your status is cleared.",
  presences: { online: "Online", away: "Away", offline: "Offline" },
  /** @param {string} time */
  lastHere: (time) => `Last here ${time}`,

  today: "Today",
  yesterday: "Yesterday",
  search: "Search chats",
  chats: "Chats",
  archived: "Hidden",
  /** @param {number} count */
  archivedCount: (count) => `Hidden (${count})`,
  noChats: "No chats yet. Start one with the plus button.",
  allHidden: "All chats are hidden.",
  noMatch: "No chat has such a name.",
  you: "You",
  ownMenu: "Your presence, status and colours",
  youAsObject: "you",
  draft: "Draft:",
  deleted: "Message deleted",
  noMessages: "No messages yet",
  muted: "Muted",
  frozen: "Read-only",
  /** @param {number} count */
  unread: (count) => plural(count, "unread message", "unread messages"),
  /** @param {string} name @param {string} presence */
  avatar: (name, presence) => (presence ? `Picture of ${name}: ${presence}` : `Picture of ${name}`),
  /** @param {string} who @param {string} said @param {string} time */
  lastMessage: (who, said, time) => `last message from ${who}, ${said}, ${time}`,
  /** @param {string} text */
  draftRow: (text) => `draft, ${text}`,
  /** @param {string} text @param {string} status */
  unsentRow: (text, status) => `your message, ${text}: ${status}`,
  file: "a file",
  /** @param {string} time */
  at: (time) => `at ${time}`,
  /** @param {string} day @param {string} time */
  dayAt: (day, time) => `${day} at ${time}`,

  newChat: "New chat",
  newDirect: "With one person",
  person: "Their name",
  open: "Open",
  newGroup: "A group",
  groupName: "Name of the group",
  members: "Members",
  personHint: "e.g. bob",
  membersHint: "e.g. bob, carol",
  create: "Create",
  choose: "Choose a chat from the list, or start a new one.",
  loading: "Loading …",
  opening: "Opening …",
  openingWaits: "This chat begins as soon as there is a connection. What you write waits here.",
  back: "Back to the chats",
  details: "Details",
  /** @param {string} title */
  detailsOf: (title) => `Details of ${title}`,
  close: "Close",
  cancel: "Cancel",

  online: "Online",
  connecting: "Connecting …",
  offline: "No connection",
  /** @param {string} why */
  offlineBar: (why) => `${why || "No connection."} Messages wait here.`,
  /** @param {number} status */
  noToken: (status) => `Signing in failed: the server answered ${status}.`,
  /** @param {number} seconds */
  retryIn: (seconds) => `Trying again in ${seconds} s.`,
  retryNow: "Try now",
  /** @param {string} reason @param {string} message of the server */
  refusedBar: (reason, message) => `Signed out by the server: ${reason} (${message})`,
  reconnect: "Connect again",

  messages: "Messages",
  beginning: "This is the beginning of the chat.",
  empty: "No messages yet. Say hello.",
  newMessages: "New messages",
  /** @param {number} count */
  pill: (count) => (count ? plural(count, "new message", "new messages") : "To the newest message"),
  /** @param {number} count */
  mentionPill: (count) => `${plural(count, "message names", "messages name")} you. Show the next one`,
  /** @param {string[]} names */
  typing: (names) => (names.length ? `${names.join(", ")} ${names.length > 1 ? "are" : "is"} typing …` : ""),
  edited: "edited",
  uploading: "Uploading",
  /** How far a message is. @type {Record<import("./views/signs.js").MessageStatus, (whom: string) => string>} */
  status: {
    uploading: () => "Its files are being uploaded.",
    sending: () => "Not sent yet.",
    accepted: () => "Sent; the server has not stored it yet.",
    queued: () => "Sent. That it has arrived is reported within ten seconds.",
    delivered: (whom) => `Delivered to ${whom}.`,
    read: (whom) => `Read by ${whom}.`,
    refused: () => "Not sent.",
  },
  /** What the server does not have of a message yet. @type {Record<import("./vendor/rts-chat.min.js").MessageChangeKind, string>} */
  pending: {
    edit: "The new text is not saved yet.",
    delete: "Not deleted for others yet.",
    react: "The reaction is not saved yet.",
  },
  waiting: "waiting for the connection",
  /** @type {Record<import("./vendor/rts-chat.min.js").MessageChangeKind, string>} */
  refusedChange: {
    edit: "The new text was not saved.",
    delete: "The message was not deleted.",
    react: "The reaction was not saved.",
  },
  editAgain: "Edit again",
  writeAnew: "Write it as a new message",
  editDeleted: "That message was deleted. Your text is in the field, as a new message.",
  dismiss: "Dismiss",
  later: "No connection. This is done as soon as there is one.",
  everybody: "everybody",
  retry: "Retry",
  discard: "Discard",
  actions: "Message actions",
  /** What a button does, and to which message. @param {string} label @param {string} what */
  onMessage: (label, what) => `${label}, ${what}`,
  react: "React",
  /** @param {string} emoji @param {number} count @param {string} names */
  reaction: (emoji, count, names) => `${emoji} ${count}, from ${names}`,
  /** @param {string} name @param {string} said */
  answers: (name, said) => `Answer to ${name}: ${said}. Show that message`,
  moreEmoji: "More emoji",
  reply: "Reply",
  copy: "Copy text",
  edit: "Edit",
  remove: "Delete",
  undo: "Undo",
  /** @param {number} count */
  deleting: (count) => (count === 1 ? "Message deleted." : `${count} messages deleted.`),
  copied: "Copied.",
  earlier: "Earlier messages",
  earlierMessage: "An earlier message",
  wrong: "Something went wrong.",
  noCopy: "The browser did not allow to copy.",
  notFound: "That message cannot be found any more.",
  /** @param {string} name */
  replyingTo: (name) => `Replying to ${name}`,
  editing: "Editing a message",
  picture: "Open the picture",
  offlineFile: "No connection. Try again later.",
  notLoaded: "Not loaded.",
  tryAgain: "Try again",
  /** @param {string} name */
  loadAgain: (name) => `Not loaded. Try again: ${name}`,
  /** @param {string} name */
  download: (name) => `Download ${name}`,

  message: "Message",
  send: "Send",
  save: "Save",
  attach: "Add files",
  /** @param {string} name */
  removeFile: (name) => `Remove ${name}`,
  /** @param {string} name */
  emptyFile: (name) => `${name} is empty.`,
  /** @param {string} name @param {string} most */
  largeFile: (name, most) => `${name} is larger than ${most}.`,
  /** @param {number} most @param {number} length */
  longText: (most, length) => `A message has at most ${most} characters; this one has ${length}.`,
  /** @param {number} most */
  manyFiles: (most) => `At most ${most} files in one message.`,
  filesNotKept: "This browser will forget the files if the page is loaded again.",
  isFrozen: "This chat is read-only for everybody.",
  isReadonly: "You can read this chat, but not write in it.",
  suggestions: "People to mention",

  files: "Files",
  noFiles: "No files yet.",
  noFilesLoaded: "None in the messages loaded so far.",
  moreFiles: "Look in earlier messages",
  /** @param {string} name */
  showFile: (name) => `Show ${name} in the chat`,

  rename: "Rename",
  renamed: "Renamed.",
  addMember: "Name of a new member",
  add: "Add",
  /** @param {string} name */
  added: (name) => `${name} was added.`,
  youAreMember: "You are a member already.",
  /** @param {string} name */
  alreadyMember: (name) => `${name} is a member already.`,
  /** @param {string} name */
  roleOf: (name) => `Role of ${name}`,
  /** @param {string} name */
  expel: (name) => `Remove ${name}`,
  /** @param {string} name */
  expelTitle: (name) => `Remove ${name}?`,
  expelText: "They will not see the messages of this chat any more, until somebody adds them again.",
  expelNow: "Remove",
  roles: { owner: "Owner", admin: "Admin", member: "Member", readonly: "Reader" },
  mute: "Mute",
  unmute: "Unmute",
  hide: "Hide",
  unhide: "Show in the list",
  /** @param {string} title */
  hidden: (title) => `${title} is hidden.`,
  freeze: "Make read-only",
  unfreeze: "Let members write",
  leave: "Leave",
  /** @param {string} title */
  leaveTitle: (title) => `Leave ${title}?`,
  leaveText: "You will not see its messages any more.",
  nextOwner: "You are the only owner. Who takes over?",
  /** @param {string} title */
  youLeft: (title) => `You are not a member of ${title || "a chat"} any more.`,
  notYours: "There is no such chat, or you are not a member of it.",
  /** @param {string} who @param {string} people */
  systemAdded: (who, people) => `${who} added ${people}`,
  /** @param {string} who */
  systemLeft: (who) => `${who} left`,
  /** @param {string} who @param {string} people */
  systemRemoved: (who, people) => `${who} removed ${people}`,
  /** @type {Record<string, (who: string, people: string) => string>} */
  systemRoles: {
    owner: (who, people) => `${who} made ${people} an owner`,
    admin: (who, people) => `${who} made ${people} an admin`,
    member: (who, people) => `${who} made ${people} a member`,
    readonly: (who, people) => `${who} made ${people} a reader`,
  },
  /** @param {string} who @param {string} people */
  systemRole: (who, people) => `${who} changed the role of ${people}`,
  /** @param {string} who @param {string} name */
  systemRenamed: (who, name) => `${who} named the chat ${name}`,
  /** @param {string} who */
  systemFrozen: (who) => `${who} made the chat read-only`,
  /** @param {string} who */
  systemThawed: (who) => `${who} let members write again`,
};

/** What went wrong. @type {Record<import("./vendor/rts-chat.min.js").ChatErrorCode, string>} */
const ERRORS = {
  bad_request: "The server did not understand this page. Reload it.",
  invalid_param: "That was not accepted.",
  unauthorized: "You are not signed in any more.",
  token_expired: "The sign-in has expired.",
  forbidden: "You are not allowed to do this.",
  not_found: "There is no such chat, message or person.",
  conflict: "Somebody changed this at the same time. Look at it and try again.",
  gone: "This does not exist any more.",
  message_too_large: "The message is too long.",
  unsupported_type: "Files of this type are not accepted.",
  limit_exceeded: "This is more than the server allows.",
  rate_limited: "That was too fast. Wait a moment and try again.",
  unavailable: "The server cannot do this now. Try again.",
  timeout: "The server took too long. Try again.",
  internal: "The server has made an error. Try again.",
  token_unavailable: "The sign-in cannot be had now.",
  unreachable: "The chat server cannot be reached.",
  other_user: "The sign-in is that of somebody else. Reload the page.",
  no_answer: "The server did not answer. Try again.",
  upload_failed: "The file could not be uploaded.",
  file_lost: "A file cannot be read any more. Choose it again.",
  revoked: "The sign-in was ended elsewhere.",
  banned: "This user may not sign in.",
  draining: "The server is restarting.",
  slow_consumer: "This connection is too slow.",
  lease_lost: "The server lost the session.",
  connection_limit: "There are too many windows of this user.",
  too_many_errors: "This page made too many errors. Reload it.",
  frame_too_large: "This page sent too much at once. Reload it.",
  closed: "The connection was closed.",
};

/** Of what the user wrote, as a refusal names it; other names mean nothing to them. */
const WRITTEN = ["text", "name", "statusText", "emoji", "files"];

/** Why nobody, or this user, may write in a room; empty if they may. @param {Pick<import("./app.js").RoomState, "frozen" | "role"> | null} [room] */
export const readOnly = (room) => (room?.frozen ? t.isFrozen : room?.role === "readonly" ? t.isReadonly : "");

/** What the server says of fields, if it says nothing of its own. */
const INVALID = "A field is invalid.";

/** What the server says of its own; the message of the package names the fields behind it. @param {string} message @param {Readonly<Record<string, unknown>>} details */
const ownWords = (message, details) =>
  Object.entries(details).reduce((said, [name, what]) => (Array.isArray(what) ? said.replace(` ${name}: ${what.join(" ")}`, "") : said), message);

/**
 * An error in the user's words, with what is said about what they wrote.
 * @param {{ code: string, message: string, details?: Readonly<Record<string, unknown>> }} error
 * @param {import("./app.js").RoomState | null} [room] in which it happened
 */
export function explain({ code, message, details = {} }, room) {
  if (code === "forbidden" && readOnly(room)) return readOnly(room);
  const sentences = Object.entries(details).flatMap(([name, what]) => (WRITTEN.includes(name) && Array.isArray(what) ? what.map(String) : []));
  /** @type {Partial<Record<string, string>>} */
  const known = ERRORS;
  const own = code === "invalid_param" ? ownWords(message, details) : INVALID;
  const said = own === INVALID ? (known[code] ?? (message || t.wrong)) : own;
  return [said, ...sentences].join(" ");
}
