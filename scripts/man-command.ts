import { DEFINITIONS } from '../src/cli/program.ts';
import { example, heading, page, paragraph, term } from './roff.ts';

/** Pages of commands that have a page of their own, from the same definitions as nfknock(1). */

interface About {
  readonly command: string;
  readonly text: readonly string[];
  readonly examples: readonly string[];
  readonly files: readonly (readonly [name: string, holds: string])[];
}

const ABOUT: Readonly<Record<string, About>> = {
  'nfknock-init': {
    command: 'init',
    text: [
      'It looks at the machine (where sshd listens, what else is served, who is connected, the policy of INPUT, whether the clock can be trusted), asks, shows what it will do, and does it: it writes the configuration with a key or a random sequence and a spare, installs the rules, starts the daemon and prints the sheet for its owner.',
      'The change stays once somebody has come in through the door. Else it is rolled back, and so it is after `^C` at any moment: the machine is then as it was. Open sessions are not cut.',
      'Without a terminal it wants `--yes` and `--confirm-by`. What is secret is printed on a terminal alone: else name a file with `--out`.',
    ],
    examples: [
      'sudo nfknock init',
      'nfknock init --yes --confirm-by knock --opens 22/tcp --by key --host server.example --out /root/ada.key',
    ],
    files: [
      ['/etc/nfknock/nfknock.yaml', 'the configuration that it writes'],
      ['/etc/nfknock/keys.yaml', 'the keys'],
      ['/var/lib/nfknock/spare.sequences', 'spare knocks, each for once'],
      ['/usr/share/doc/nfknock/recovery.md', 'what to do when locked out'],
    ],
  },
  'nfknock-keys': {
    command: 'key',
    text: [
      'A key opens a door with one UDP packet that proves who sent it: recorded, replayed or edited it opens nothing. The door has `knock: spa`, and `listen.spa` names the port; a key of `--totp` is knocked as digits instead, at a door whose knock has `?` in it.',
      '`new` makes a key, or takes an SSH key in, and shows once what the other side needs: its profile, for `~/.config/nfknock/HOST.key` on the client. `list` shows no secret. `revoke` ends what the key has opened at once, `rotate` makes another and takes the old one until the new one is first used, `realm --new` changes what all clients share with this server.',
      'A daemon that runs is told. Without one the file is changed, and that is said.',
    ],
    examples: [
      'nfknock key new ada-laptop --door ssh --person ada --ssh ~/.ssh/id_ed25519.pub --out ada.key',
      'nfknock key new ada-phone --door ssh --fwknop --qr',
      'nfknock key list',
      'nfknock key revoke ada-laptop --cut',
    ],
    files: [
      ['/etc/nfknock/keys.yaml', "the keys; 0600 and the daemon user's own"],
      ['~/.config/nfknock/HOST.key', 'the profile of a server, on a client'],
    ],
  },
};

/** The names of these pages. */
export const COMMAND_PAGES: readonly string[] = Object.keys(ABOUT);

export function ownPage(name: string, version: string): string {
  const about = ABOUT[name];
  const definition = DEFINITIONS.find((each) => each.name === about?.command);
  if (about === undefined || definition === undefined) throw new Error(`${name} is no page`);
  const args = (definition.args ?? []).map(([syntax]) => syntax).join(' ');
  return page(name, 1, `nfknock ${version}`, 'nfknock manual', [
    heading('NAME'),
    `${name.replace('-', '\\-')} \\- ${definition.summary.replaceAll('-', '\\-')}`,
    heading('SYNOPSIS'),
    `.B nfknock ${definition.name}`,
    `[\\fIOPTION\\fR]... ${args}`.trimEnd(),
    heading('DESCRIPTION'),
    ...about.text.map(paragraph),
    heading('OPTIONS'),
    ...(definition.args ?? []).map(([syntax, says]) => term(syntax.replaceAll(/[<>[\]]/g, ''), `${says}.`)),
    ...(definition.options ?? []).map(({ flags, description }) => term(flags, `${description}.`)),
    heading('EXAMPLES'),
    ...about.examples.map(example),
    heading('FILES'),
    ...about.files.map(([file, holds]) => term(file, holds)),
    heading('SEE ALSO'),
    '.BR nfknock (1),',
    '.BR nfknock.yaml (5)',
  ]);
}
