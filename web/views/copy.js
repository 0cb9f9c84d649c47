// @ts-check
// A text into the clipboard.

/** Returns whether the browser allowed it. @param {string} text @returns {Promise<boolean>} */
export async function copied(text) {
  const { clipboard } = /** @type {Partial<Navigator>} */ (navigator); // missing over plain http
  return (await clipboard?.writeText(text).then(() => true, () => false)) ?? false;
}
