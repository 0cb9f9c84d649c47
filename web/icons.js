// @ts-check
// The shapes of all icons, loaded once: without a connection one that was not shown yet is there too.

/** Put them into the page, where `icon` finds them. Returns the element that holds them. */
export async function loadIcons() {
  const answer = await fetch("/web/vendor/lucide.svg");
  if (!answer.ok) throw new Error(`No icons: the server answered ${answer.status}.`);
  const sprite = new DOMParser().parseFromString(await answer.text(), "image/svg+xml").documentElement;
  for (const symbol of sprite.querySelectorAll("symbol")) symbol.id = `icon-${symbol.id}`;
  sprite.setAttribute("hidden", "");
  return sprite;
}
