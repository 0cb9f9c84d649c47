/** What a text of a store holds; undefined if it is no JSON, for others write there too. */
export function parsed(text: string | null): unknown {
  try {
    return JSON.parse(text ?? "null");
  } catch {
    return undefined;
  }
}
