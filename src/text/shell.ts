/** One word of a shell, whatever is in it. */
export function shellWord(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** A text inside a specification of zsh's `_arguments`, which takes colons and brackets apart itself. */
export function zshText(text: string): string {
  return text.replaceAll(/[\\:[\]]/g, '\\$&');
}
