/**
 * Text from elsewhere as logs and terminals may have it: one answer to which characters act on a terminal or a reader
 * of lines, and what is written instead.
 */

/**
 * Control characters (C0, DEL and C1, of which U+009B begins an escape sequence), line and paragraph separator, what is
 * not seen (marks that turn the direction of text, joiners, the byte order mark, tags), and halves of characters.
 */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;
const EACH_UNPRINTABLE = new RegExp(UNPRINTABLE, 'gu');
const RUN_OF_UNPRINTABLE = new RegExp(`(?:${UNPRINTABLE.source})+`, 'gu');
/** The same without C0, which JSON escapes inside its strings, and which stands between them as white space. */
const LEFT_BY_JSON = /[\u007f-\u009f\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/** Characters of a text that are repeated in a message. */
export const QUOTED_CHARACTERS_MAX = 60;

/** Whether a text is one line that shows all that is in it. */
export function isPrintable(text: string): boolean {
  return !UNPRINTABLE.test(text);
}

/** The text on one line, each character that does not show as `\uXXXX`. */
export function printable(text: string): string {
  return text.replace(EACH_UNPRINTABLE, escapeUnits);
}

/** The text on one line, a blank in place of what does not show: for sentences, where an escape would only disturb. */
export function oneLine(text: string): string {
  return text.replace(RUN_OF_UNPRINTABLE, ' ').trim();
}

/** JSON that shows all that is in it; it means what it meant, since such characters stand only within strings. */
export function printableJson(json: string): string {
  return json.replace(LEFT_BY_JSON, escapeUnits);
}

/** A text in quotes, on one line, cut where it is long. */
export function quoted(text: string): string {
  const cut = text.length > QUOTED_CHARACTERS_MAX ? `${text.slice(0, QUOTED_CHARACTERS_MAX)}…` : text;
  return printableJson(JSON.stringify(cut));
}

function escapeUnits(character: string): string {
  return character
    .split('')
    .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
    .join('');
}
