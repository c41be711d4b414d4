import {
  Composer,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  Parser,
  visit,
} from 'yaml';
import { oneLine, quoted } from '../text/plain.ts';
import { FAULTS_MAX, type Fault, WHOLE_FILE } from './fault.ts';

/** Bytes of a configuration: room for a thousand doors. */
export const CONFIG_BYTES_MAX = 524_288;
/** Mappings and lists inside each other; the deepest of ours is 4. */
const NESTING_MAX = 16;
/** Uses of anchors: enough to share a list, too few to multiply one. */
const ALIASES_MAX = 256;
/** Open brackets at once, and `-` or `?` one after the other, before YAML is parsed at all: its parser recurses. */
const BRACKETS_MAX = 256;
const SAID_CHARACTERS_MAX = 400;
/** What is said instead of the library's words, by its error codes. */
const KNOWN_ERRORS: Readonly<Record<string, readonly [problem: string, fix: string]>> = {
  TAB_AS_INDENT: ['this line is indented with a tab', 'indent with spaces'],
  TAG_RESOLVE_FAILED: [
    'a YAML tag is not supported',
    'put a text with "!" in quotes, for example "syn,!ack"',
  ],
};
const INDICATORS_IN_A_ROW = /^(?:[ \t]*[-?:](?=[ \t])){32}/m;

/** A place in the file: the offset of a key or value, and the path of keys that leads to it. */
export interface Spot {
  /** In UTF-16 code units from the start of the text. */
  readonly at: number;
  readonly key: string;
}

/** The parsed text: its root, what anchors stand for, and where faults are gathered. */
export interface Reading {
  /** Null: nothing in the file. */
  readonly root: Node | null;
  readonly faults: readonly Fault[];
  /** The node itself, or what an alias stands for. */
  resolve(node: Node | null): Node | null;
  fault(spot: Spot, problem: string, fix: string): void;
}

/** Parses YAML. Where it is broken, too large or too deep, the faults say so and the root is null. */
export function readDocument(text: string, file: string): Reading {
  const lines = new LineCounter();
  lines.addNewLine(0);
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) lines.addNewLine(at + 1);
  const faults: Fault[] = [];
  const fault: Reading['fault'] = ({ at, key }, problem, fix) => {
    if (faults.length >= FAULTS_MAX) return;
    const { line, col } = lines.linePos(Math.max(0, Math.min(at, text.length)));
    faults.push({ file, line, column: col, key, problem: said(problem), fix: said(fix) });
  };
  const whole = (at: number, problem: string, fix: string): null => {
    fault({ at, key: WHOLE_FILE }, problem, fix);
    return null;
  };
  const anchors = new Map<Node, Node>();
  const root = compose(text, whole, anchors);
  const resolve = (node: Node | null): Node | null => (node === null ? null : (anchors.get(node) ?? node));
  return { root, faults, resolve, fault };
}

/** What repeats words of the file must stay one line, of a length that can be read. */
function said(text: string): string {
  const line = oneLine(text);
  return line.length > SAID_CHARACTERS_MAX ? `${line.slice(0, SAID_CHARACTERS_MAX)}…` : line;
}

/** Says a fault of the file as a whole; the answer is what `compose` then returns. */
type Whole = (at: number, problem: string, fix: string) => null;

function compose(text: string, whole: Whole, anchors: Map<Node, Node>): Node | null {
  const bytes = Buffer.byteLength(text);
  if (bytes > CONFIG_BYTES_MAX)
    return whole(0, `the file has ${bytes} bytes`, `write at most ${CONFIG_BYTES_MAX} bytes`);
  const control = unprintable(text);
  if (control !== undefined)
    return whole(
      control,
      `the character ${quoted(text[control] ?? '')} is not text`,
      'save the file as UTF-8',
    );
  const deep = deepBracket(text);
  if (deep !== undefined)
    return whole(deep, `more than ${BRACKETS_MAX} brackets are open`, `nest at most ${NESTING_MAX} levels`);

  const row = text.search(INDICATORS_IN_A_ROW);
  if (row >= 0) return whole(row, 'lists are nested too deeply', `nest at most ${NESTING_MAX} levels`);

  const documents = parsed(text);
  if (documents === undefined) return whole(0, 'the YAML parser gives up on this file', 'write YAML 1.2');
  const [document, second] = documents;
  if (document === undefined) return null;
  for (const { pos, code, message } of [...document.errors, ...document.warnings]) {
    const [problem, fix] = KNOWN_ERRORS[code] ?? [
      `this is not valid YAML (${oneLine(message)})`,
      'correct it, or compare it with examples/nfknock.yaml',
    ];
    whole(pos[0], problem, fix);
  }
  if (second !== undefined)
    whole(second.range[0], 'a second YAML document begins here', 'remove the line "---" and what follows it');
  if (document.errors.length + document.warnings.length > 0 || second !== undefined) return null;
  return shapely(document.contents, whole, anchors) ? document.contents : null;
}

/** Undefined: the library gave up with an exception, as on nesting that exhausts its stack. */
function parsed(text: string): Document.Parsed[] | undefined {
  // Keys that stand twice are found by the readers: the composer compares each key with all before it.
  const options = {
    version: '1.2',
    schema: 'core',
    uniqueKeys: false,
    prettyErrors: false,
    logLevel: 'silent',
  } as const;
  try {
    return [...new Composer(options).compose(new Parser().parse(text), true, text.length)];
  } catch {
    return undefined;
  }
}

/** Notes what each alias stands for; false where the tree is deeper or refers to itself more than any file needs. */
function shapely(contents: Node | null, whole: Whole, anchors: Map<Node, Node>): boolean {
  const named = new Map<string, Node>();
  let sound = true;
  visit(contents, (_, value, path) => {
    if (!isAlias(value) && !isScalar(value) && !isMap(value) && !isSeq(value)) return undefined;
    const at = value.range?.[0] ?? 0;
    if (path.filter((step) => isMap(step) || isSeq(step)).length > NESTING_MAX) {
      whole(
        at,
        `the values are nested more than ${NESTING_MAX} levels deep`,
        `nest at most ${NESTING_MAX} levels`,
      );
      sound = false;
      return visit.BREAK;
    }
    if (!isAlias(value)) {
      if (value.anchor !== undefined) named.set(value.anchor, value);
      return undefined;
    }
    const target = named.get(value.source);
    // An anchor that holds its own alias has not ended where the alias stands.
    const inside = target !== undefined && path.some((step) => step === target);
    if (target === undefined || inside) {
      whole(
        at,
        `the alias ${quoted(value.source)} ${inside ? 'stands inside its own anchor' : 'has no anchor before it'}`,
        'define the anchor first, or write the value out',
      );
      sound = false;
    } else anchors.set(value, target);
    if (anchors.size <= ALIASES_MAX) return undefined;
    whole(at, `more than ${ALIASES_MAX} aliases are used`, 'write the values out');
    sound = false;
    return visit.BREAK;
  });
  return sound;
}

/** The first control character that no text file has, such as NUL in a binary. */
function unprintable(text: string): number | undefined {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  const at = text.search(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f\ufffd]/);
  return at < 0 ? undefined : at;
}

/**
 * Where brackets are nested too deeply. Brackets in quotes and comments count as well: 256 of them that are
 * never closed are in no honest file.
 */
function deepBracket(text: string): number | undefined {
  let depth = 0;
  for (let at = 0; at < text.length; at += 1) {
    const character = text.charCodeAt(at);
    if (character === 0x5b || character === 0x7b) depth += 1;
    if ((character === 0x5d || character === 0x7d) && depth > 0) depth -= 1;
    if (depth > BRACKETS_MAX) return at;
  }
  return undefined;
}
