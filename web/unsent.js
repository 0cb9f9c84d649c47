// @ts-check
// Messages that the server does not have.

/** @typedef {import("./vendor/rts-chat.min.js").ShownMessage} ShownMessage */

const UNSENT = ["uploading", "sending", "refused"];

/** @param {{ readonly status?: string }} message */
export const isUnsent = ({ status = "" }) => UNSENT.includes(status);

/** Those of a room. @param {{ readonly messages: readonly ShownMessage[] }} state */
export const unsentOf = ({ messages }) => messages.filter((message) => message.message_id === undefined && isUnsent(message));
