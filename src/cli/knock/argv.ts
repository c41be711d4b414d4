const THEN = '--then';

/**
 * The command line with all that follows `--then` as its one value: it is a command of its own, whose options are none
 * of ours.
 */
export function withCommandAsOne(argv: readonly string[]): readonly string[] {
  const at = argv.indexOf(THEN);
  if (at < 0) return argv;
  const command = argv.slice(at + 1);
  // `--then -- ls` is meant, too.
  if (command[0] === '--') command.shift();
  return [...argv.slice(0, at), `${THEN}=${JSON.stringify(command)}`];
}

/** The words that `withCommandAsOne` made into one; `--then=ls` is one word. */
export function commandWords(text: string): readonly string[] {
  if (!text.startsWith('[')) return text === '' ? [] : [text];
  const words: unknown = JSON.parse(text);
  return Array.isArray(words) ? words.map(String) : [text];
}
