/** One small change to a compiled file. */
export interface Mutant {
  readonly from: number;
  readonly to: number;
  readonly replacement: string;
}

/** Operators as the compiler writes them, with a space on either side, and what each is mistaken for. */
const MISTAKEN: ReadonlyMap<string, string> = new Map([
  ['<', '<='],
  ['<=', '<'],
  ['>', '>='],
  ['>=', '>'],
  ['===', '!=='],
  ['!==', '==='],
  ['&&', '||'],
  ['||', '&&'],
  ['+', '-'],
  ['-', '+'],
  ['*', '+'],
  ['&', '|'],
  ['|', '&'],
  ['^', '|'],
  ['<<', '>>>'],
  ['>>>', '<<'],
  ['>>', '<<'],
  ['+=', '-='],
  ['-=', '+='],
  ['|=', '='],
  ['&=', '='],
]);

const OPERATOR = / (<=|>=|===|!==|&&|\|\||<<|>>>|>>|\+=|-=|\|=|&=|[<>+\-*&|^]) /g;
/** Not the value that stands in for an index that is never out of range. */
const NUMBER = /(?<![\w.$]|\?\? )(0x[\da-f]+|\d[\d_]*)(?![\w.$])/gi;
const TRUTH = /(?<![\w.$])(true|false)(?![\w$:])/g;
const NOT = /(?<=[( ])!(?=[\w(])/g;
const CONDITION = /(?<![\w$])(?:if|while) \(/g;
/** A call or an assignment that is a whole line. */
const STATEMENT =
  /^ +(?! |(?:const|let|return|throw|import|export|case|default|continue|break|else|yield|await)\b)[\w$.[\] +]+(?:\(.*\)|(?: [-+|&]?= .*)|\+\+|--);$/gm;

/** Every mutant of a compiled file without comments. */
export function mutantsOf(code: string): readonly Mutant[] {
  const bare = blankTexts(code);
  const found: Mutant[] = [];
  const each = (pattern: RegExp, change: (match: RegExpExecArray) => Mutant | undefined): void => {
    for (const match of bare.matchAll(pattern)) {
      const mutant = change(match);
      if (mutant !== undefined) found.push(mutant);
    }
  };
  each(OPERATOR, (match) => {
    const [, operator = ''] = match;
    return {
      from: match.index + 1,
      to: match.index + 1 + operator.length,
      replacement: MISTAKEN.get(operator) ?? '',
    };
  });
  each(NUMBER, (match) => ({
    ...whole(match),
    replacement: String(Number(match[0].replaceAll('_', '')) + 1),
  }));
  each(TRUTH, (match) => ({ ...whole(match), replacement: match[0] === 'true' ? 'false' : 'true' }));
  each(NOT, (match) => ({ ...whole(match), replacement: '' }));
  // What stands alone below an `if` must leave a statement behind.
  each(STATEMENT, (match) => ({ ...whole(match), replacement: ';' }));
  for (const truth of ['true', 'false']) {
    each(CONDITION, (match) => {
      const from = match.index + match[0].length;
      // `while (true)` would only be found by waiting.
      if (match[0].startsWith('while') && truth === 'true') return undefined;
      return { from, to: closing(bare, from), replacement: truth };
    });
  }
  const importsEnd = bare.lastIndexOf('\nimport ') + 1;
  return found.filter((mutant) => mutant.from > bare.indexOf('\n', importsEnd));
}

export function applied(code: string, mutant: Mutant): string {
  return code.slice(0, mutant.from) + mutant.replacement + code.slice(mutant.to);
}

/** `12: a < b → a <= b`: the line, before and after. */
export function mutantText(code: string, mutant: Mutant): string {
  const start = code.lastIndexOf('\n', mutant.from - 1) + 1;
  const end = code.indexOf('\n', mutant.to);
  const line = code.slice(0, start).split('\n').length;
  const before = code.slice(start, end).trim();
  const after = (code.slice(start, mutant.from) + mutant.replacement + code.slice(mutant.to, end)).trim();
  return `${line}: ${before}  →  ${after === ';' ? 'nothing' : after}`;
}

function whole(match: RegExpExecArray): { readonly from: number; readonly to: number } {
  return { from: match.index, to: match.index + match[0].length };
}

/** The same code with every character inside a string turned into a blank, so that positions stay what they are. */
function blankTexts(code: string): string {
  return code.replace(
    /'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"/g,
    (text) => `'${'_'.repeat(text.length - 2)}'`,
  );
}

/** The position of the bracket that closes the one before `from`. */
function closing(code: string, from: number): number {
  let open = 1;
  for (let index = from; index < code.length; index++) {
    if (code[index] === '(') open += 1;
    if (code[index] === ')') open -= 1;
    if (open === 0) return index;
  }
  return code.length;
}
