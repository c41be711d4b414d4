/** One of the commands between `;`, `&&` and `||`. */
export interface SimpleCommand {
  readonly words: readonly string[];
  /** What only a shell would understand in it. */
  readonly shell: readonly string[];
  /** What separates it from the one before; empty: it is the first. */
  readonly after: '' | ';' | '&&' | '||';
}

/** A command line taken apart as a shell would, with nothing evaluated. */
export interface CommandLine {
  readonly commands: readonly SimpleCommand[];
  /** The same in one list, with what separates them as words of their own. */
  readonly words: readonly string[];
  /** What only a shell would understand, apart from `;` and `&&`; each once, in the order of the text. */
  readonly shell: readonly string[];
}

/** Characters that mean something to a shell outside quotes, besides `;` and `&&`. */
const SPECIAL = new Set(['|', '&', '$', '`', '>', '<', '(', ')', '*', '?', '[', '~']);
/** Output that goes nowhere, a failure that is forgiven, a command that is not waited for: here a hook's output is bounded, and none is waited for. */
const IDLE =
  /^(\d?>{1,2}\s*\/dev\/null|\d?>&\d|&>\s*\/dev\/null|<\s*\/dev\/null|\|\|\s*(?:true|:)|&(?=\s*$))(?=[\s;]|$)/;

const BRACKETED = /^\[[0-9a-fA-F:.]*:[0-9a-fA-F:.]*\](?::\d{1,5})?(?=[\s;]|$)/;

/** Splits like a POSIX shell: blanks part words, quotes and backslashes keep them together. */
export function splitCommand(text: string): CommandLine {
  const commands: { words: string[]; shell: Set<string>; after: SimpleCommand['after'] }[] = [];
  const words: string[] = [];
  const all = new Set<string>();
  let word: string | undefined;
  let current = { words: [] as string[], shell: new Set<string>(), after: '' as SimpleCommand['after'] };
  commands.push(current);
  const end = (): void => {
    if (word === undefined) return;
    current.words.push(word);
    words.push(word);
    word = undefined;
  };
  const next = (after: SimpleCommand['after']): void => {
    end();
    words.push(after);
    current = { words: [], shell: new Set(), after };
    commands.push(current);
  };
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at] ?? '';
    const idle = word === undefined ? (IDLE.exec(text.slice(at))?.[0] ?? '') : '';
    if (idle !== '') {
      at += idle.length - 1;
    } else if (character === '#' && word === undefined) {
      // The rest of the line is a comment.
      const line = text.indexOf('\n', at);
      at = line < 0 ? text.length : line - 1;
    } else if (character === '\\') {
      at += 1;
      word = (word ?? '') + (text[at] ?? '');
    } else if (character === "'" || character === '"') {
      const { inside, after } = quotedAt(text, at, current.shell);
      word = (word ?? '') + inside;
      at = after;
    } else if (/\s/.test(character)) {
      end();
    } else if (character === ';') {
      next(';');
    } else if (text.startsWith('&&', at) || text.startsWith('||', at)) {
      next(character === '&' ? '&&' : '||');
      if (character === '|') all.add('|');
      at += 1;
    } else if (word === undefined && BRACKETED.test(text.slice(at, at + 60))) {
      // No pattern, but an address of IPv6 and its port.
      word = BRACKETED.exec(text.slice(at, at + 60))?.[0] ?? '';
      at += word.length - 1;
    } else {
      if (SPECIAL.has(character) && !(character === '~' && word !== undefined)) current.shell.add(character);
      word = (word ?? '') + character;
    }
  }
  end();
  for (const command of commands) for (const sign of command.shell) all.add(sign);
  const found = commands.map((command) => ({ ...command, shell: [...command.shell] }));
  return { commands: found.filter((command) => command.words.length > 0), words, shell: [...all] };
}

/** The text of the quotes that open at `at`, and where they close; quotes that never close are noted. */
function quotedAt(
  text: string,
  at: number,
  shell: Set<string>,
): { readonly inside: string; readonly after: number } {
  const quote = text[at];
  let inside = '';
  for (let next = at + 1; next < text.length; next += 1) {
    const character = text[next] ?? '';
    if (character === quote) return { inside, after: next };
    const follows = text[next + 1] ?? '';
    if (quote === '"' && character === '\\' && '"\\$`'.includes(follows) && follows !== '') {
      inside += follows;
      next += 1;
    } else {
      if (quote === '"' && (character === '$' || character === '`')) shell.add(character);
      inside += character;
    }
  }
  shell.add(quote ?? '');
  return { inside, after: text.length };
}
