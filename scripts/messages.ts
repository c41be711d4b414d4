import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAst } from 'rolldown/parseAst';

const SRC = join(import.meta.dirname, '../src');

/** Rooms and files whose texts no person reads as a sentence: rules, HTML, scripts for shells, SQL. */
const NOT_FOR_PEOPLE = [
  'firewall/rules/',
  'report/page',
  'report/html.ts',
  'cli/completion.ts',
  'state/schema.ts',
  'state/file.ts',
  'state/ban-log.ts',
  'state/use-rows.ts',
];
/** A sentence has three words or more, and begins with one, with a quotation or with what is filled in. */
const SENTENCE = /^["'`]?(?:[A-Za-z…][\w…'’`.,;:()/%-]*[\s,]+){2,}\S/;
const NO_SENTENCE =
  /\p{Cc}|^(?:-|SELECT|INSERT|UPDATE|DELETE|CREATE|PRAGMA|DROP|BEGIN)|[{}<>|]|\n|^[\d\W]*$/u;

export interface Message {
  readonly file: string;
  readonly text: string;
}

/** Every text of the code that people may read, as it stands there; `…` is what is filled in. */
export function messages(): readonly Message[] {
  const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !NOT_FOR_PEOPLE.some((room) => file.startsWith(room)))
    .sort();
  return files.flatMap((file) => textsOf(readFileSync(join(SRC, file), 'utf8'), file));
}

function textsOf(source: string, file: string): readonly Message[] {
  const found = new Set<string>();
  const visit = (node: unknown): void => {
    if (Array.isArray(node)) for (const each of node) visit(each);
    if (typeof node !== 'object' || node === null || Array.isArray(node)) return;
    const text = textOf(node as Readonly<Record<string, unknown>>);
    if (text !== undefined && SENTENCE.test(text) && !NO_SENTENCE.test(text)) found.add(text);
    for (const each of Object.values(node)) visit(each);
  };
  visit(parseAst(source, { lang: 'ts' }, file).body);
  return [...found].map((text) => ({ file, text }));
}

function textOf({ type, value, quasis }: Readonly<Record<string, unknown>>): string | undefined {
  if (type === 'Literal') return typeof value === 'string' ? value : undefined;
  if (type !== 'TemplateLiteral' || !Array.isArray(quasis)) return undefined;
  const parts = quasis as readonly { readonly value: { readonly cooked?: string } }[];
  return parts.map((part) => part.value.cooked ?? '').join('…');
}

/** docs/messages.md. Written and checked in test/unit/docs/messages.test.ts. */
export function messagesPage(): string {
  const lines: string[] = [];
  let room = '';
  let last = '';
  for (const { file, text } of messages()) {
    const [first = ''] = file.split('/');
    if (first !== room) lines.push('', `## ${first.replace(/\.ts$/, '')}`);
    if (file !== last) lines.push('', `### ${file}`, '');
    room = first;
    last = file;
    lines.push(`- ${written(text)}`);
  }
  return `<!-- Made by \`npm run docs\` from the texts in src/. -->

# Messages

Every text that nfknock may show, where it stands in the code; \`…\` is what is filled in. It is for translators, for
looking a message up, and so that a change of words is seen as one.
${lines.join('\n')}
`;
}

function written(text: string): string {
  const ticks = text.includes('`') ? '``' : '`';
  return ticks === '``' ? `\`\` ${text} \`\`` : `\`${text}\``;
}
