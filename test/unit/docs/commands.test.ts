import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { expect, it } from 'vitest';
import { program } from '../../../src/cli/program.ts';

/* Every command that the pages tell people to type is one, with the options that it has. */

const ROOT = join(import.meta.dirname, '../../..');
const PAGES = ['README.md', ...['docs', 'deploy', 'client'].flatMap(pagesIn)];

function pagesIn(folder: string): readonly string[] {
  return readdirSync(join(ROOT, folder), {
    withFileTypes: true,
    recursive: true,
  })
    .filter((each) => each.isFile() && /\.md$/.test(each.name))
    .map((each) => relative(ROOT, join(each.parentPath, each.name)))
    .filter((page) => page !== 'docs/messages.md');
}

/** What stands in code: the lines of blocks, and spans. */
function codeOf(text: string): readonly string[] {
  const blocks = [...text.matchAll(/^```[a-z]*\n([\s\S]*?)^```/gm)].flatMap(([, lines = '']) =>
    lines.split('\n'),
  );
  const spans = [...text.replaceAll(/^```[\s\S]*?^```/gm, '').matchAll(/`([^`]+)`/g)];
  return [...blocks, ...spans.map(([, span = '']) => span.replaceAll('\n', ' '))];
}

/** The words behind `nfknock`, up to a remark, a pipe or the next command. */
function commandsOf(line: string): readonly (readonly string[])[] {
  const said = line.replace(/(?:^|\s)#.*/, '');
  return [...said.matchAll(/(?:^|[;&|] ?|sudo |exec |--rm )(?:nfknock )+([a-z-]+(?: [^|;&>]*)?)/g)].map(
    ([, text = '']) =>
      text
        .replaceAll(/["'][^"']*["']/g, 'X')
        .split(/\s+/)
        .filter(Boolean),
  );
}

const commands = new Map(
  program('0', () => undefined).commands.map((command) => [
    command.name(),
    {
      flags: command.options.flatMap(({ long, short }) => [long, short]).filter(Boolean),
      // Of those whose first argument is one of a few words its description names them.
      actions:
        command.registeredArguments[0]?.name() === 'action'
          ? command.registeredArguments[0].description
          : null,
    },
  ]),
);

it.each(PAGES)('%s names no command, action or option that there is not', (page) => {
  const unknown: string[] = [];
  for (const [name = '', ...args] of codeOf(readFileSync(join(ROOT, page), 'utf8')).flatMap(commandsOf)) {
    const command = commands.get(name);
    const [first = ''] = args;
    if (command === undefined) unknown.push(`nfknock ${name}`);
    else if (
      command.actions !== null &&
      /^[a-z-]+$/.test(first) &&
      !first.startsWith('-') &&
      !words(command.actions).includes(first)
    )
      unknown.push(`nfknock ${name} ${first}`);
    const end = args.indexOf('--then');
    for (const flag of args.slice(0, end < 0 ? undefined : end + 1))
      if (/^--?[a-z]/.test(flag) && command !== undefined && !command.flags.includes(flag))
        unknown.push(`nfknock ${name} ${flag}`);
  }
  expect(unknown).toEqual([]);
});

const words = (text: string): readonly string[] => text.split(/[^a-z-]+/);
