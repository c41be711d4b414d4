/** A command line taken apart as a shell would, with nothing evaluated. */
export interface CommandLine {
  /** The commands between `;`, `&&` and ends of line, each in words. */
  readonly commands: readonly (readonly string[])[];
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

/** Splits like a POSIX shell: blanks part words, quotes and backslashes keep them together. */
export function splitCommand(text: string): CommandLine {
  const commands: string[][] = [[]];
  const words: string[] = [];
  const shell = new Set<string>();
  let word: string | undefined;
  const end = (): void => {
    if (word === undefined) return;
    commands[commands.length - 1]?.push(word);
    words.push(word);
    word = undefined;
  };
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at] ?? '';
    const idle = word === undefined ? (IDLE.exec(text.slice(at))?.[0] ?? '') : '';
    if (idle !== '') {
      at += idle.length - 1;
    } else if (character === '#' && word === undefined) {
      // The rest of the line is a comment.
      const next = text.indexOf('\n', at);
      at = next < 0 ? text.length : next - 1;
    } else if (character === '\\') {
      at += 1;
      word = (word ?? '') + (text[at] ?? '');
    } else if (character === "'" || character === '"') {
      const { inside, after } = quotedAt(text, at, shell);
      word = (word ?? '') + inside;
      at = after;
    } else if (/\s/.test(character)) {
      end();
    } else if (character === ';' || text.startsWith('&&', at)) {
      end();
      words.push(character === ';' ? ';' : '&&');
      commands.push([]);
      if (character === '&') at += 1;
    } else {
      if (SPECIAL.has(character) && !(character === '~' && word !== undefined)) shell.add(character);
      word = (word ?? '') + character;
    }
  }
  end();
  return { commands: commands.filter((command) => command.length > 0), words, shell: [...shell] };
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
