// The address of a scenario: it stands in the fragment, which no browser sends to a server, as plain text that can be read.

const KEPT = /%(3A|2C|3D|3B|2F|40)/g; // : , = ; / @

/** The fragment that carries a text. */
export function fragmentOf(text) {
  const escaped = encodeURIComponent(text.toWellFormed()).replace(KEPT, decodeURIComponent);
  return `#scenario=${escaped.replaceAll("%20", "+").replace(/[()'!*~]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`)}`;
}

/** The text that a fragment carries, null where it carries none. */
export const textOf = (fragment) => new URLSearchParams(fragment.replace(/^#/, "")).get("scenario")?.replaceAll("\r\n", "\n") ?? null;
