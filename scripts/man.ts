import { CONFIG_FILE } from '../src/cli/exit.ts';
import { DEFINITIONS } from '../src/cli/program.ts';
import { example, heading, page, paragraph, term } from './roff.ts';

/** nfknock(1), from the same definitions as `nfknock --help`. Written and checked by test/unit/docs/man.test.ts. */

const EXIT_CODES: readonly (readonly [string, string])[] = [
  ['0', 'done'],
  ['1', 'it went wrong; one line on standard error says what to do'],
  ['2', 'wrong usage'],
  ['3', 'the configuration is wrong'],
  ['4', 'not permitted: it needs root or CAP_NET_ADMIN'],
  ['5', 'no daemon answers'],
  ['6', '`run`: the change was rolled back, since nobody confirmed it'],
  ['126, 127', '`knock --then`: the command can not be run, or is not there; else what it ended with'],
  ['130', '`init`: given up by ^C; the machine is as it was'],
];

const SIGNALS: readonly (readonly [string, string])[] = [
  ['SIGUSR2', 'sent by a roll-back: end the daemon with 6. It leaves its rules to who sent it.'],
  ['SIGTERM, SIGINT', 'end the daemon in order. The rules stay: protected ports are closed to newcomers.'],
  ['SIGHUP', 'reload the configuration; an invalid one changes nothing.'],
  ['SIGUSR1', 'does nothing. (In other programs of Node.js it opens a debugger.)'],
];

const FILES: readonly (readonly [string, string])[] = [
  [CONFIG_FILE, 'the configuration; see `nfknock.yaml`(5)'],
  ['/var/lib/nfknock/state.db', 'grants, bans and their history, which survive restart and crash'],
  ['/run/nfknock/control.sock', 'the socket that the commands talk to the daemon by'],
  ['/var/lib/nfknock-rules/', 'the rules that are laid at boot, before the network is there'],
  [
    '/var/lib/nfknock-rollback/',
    'the way back of a change that nobody has confirmed yet, and what was confirmed last',
  ],
];

const ENVIRONMENT: readonly (readonly [string, string])[] = [
  ['NFKNOCK_CONTROL', "the daemon's socket, above what the configuration says"],
  [
    'NFKNOCK_ROLLBACK_DIR',
    'where `--confirm` keeps what would be put back, instead of /var/lib/nfknock-rollback; it must be 0700 and belong to who runs it',
  ],
  ['NO_COLOR', 'anything but empty: no colours on a terminal'],
  ['NOTIFY_SOCKET, WATCHDOG_USEC', 'set by systemd; see `sd_notify`(3)'],
];

export function commandPage(version: string): string {
  return page('nfknock', 1, `nfknock ${version}`, 'nfknock manual', [
    heading('NAME'),
    "nfknock \\- a port\\-knocking firewall daemon on the kernel's own packet path",
    heading('SYNOPSIS'),
    '.B nfknock',
    '\\fICOMMAND\\fR [\\fIOPTION\\fR]... [\\fIARGUMENT\\fR]...',
    heading('DESCRIPTION'),
    paragraph(
      'A service behind `nfknock` is closed to everyone. Who knocks at the right ports in the right order is let in, alone and for a while. Who knocks wrong, scans or touches a decoy is banned. Every knock is dropped by the kernel, whatever the daemon thinks of it; a daemon that is stopped, slow or dead leaves every protected port closed to newcomers.',
    ),
    heading('OPTIONS OF EVERY COMMAND'),
    term('-c, --config <file>', `The configuration, before or after the command; default: ${CONFIG_FILE}.`),
    term('-h, --help', 'Explain the command, with an example.'),
    heading('COMMANDS'),
    ...DEFINITIONS.flatMap(commandOf),
    heading('EXIT STATUS'),
    ...EXIT_CODES.map(([code, means]) => term(code, means)),
    heading('SIGNALS'),
    ...SIGNALS.map(([signal, does]) => term(signal, does)),
    heading('ENVIRONMENT'),
    ...ENVIRONMENT.map(([name, means]) => term(name, means)),
    heading('FILES'),
    ...FILES.map(([file, holds]) => term(file, holds)),
    heading('SEE ALSO'),
    '.BR nfknock\\-init (1),',
    '.BR nfknock\\-keys (1),',
    '.BR nfknock.yaml (5),',
    '.BR iptables (8),',
    '.BR ipset (8),',
    '.BR journalctl (1)',
  ]);
}

type Definition = (typeof DEFINITIONS)[number];

function commandOf(definition: Definition): string[] {
  const args = (definition.args ?? []).map(([syntax]) => syntax);
  const hasOptions = (definition.options ?? []).length > 0;
  const synopsis = ['nfknock', definition.name, ...(hasOptions ? ['[options]'] : []), ...args].join(' ');
  return [
    `.SS "${synopsis}"`,
    paragraph(sentence(definition.summary)),
    ...(definition.args ?? []).map(([syntax, description]) =>
      term(syntax.replaceAll(/[<>[\]]/g, ''), sentence(description)),
    ),
    ...(definition.options ?? []).map((option) => term(option.flags, sentence(optionText(option)))),
    paragraph('For example:'),
    example(definition.example),
  ];
}

function optionText(option: { readonly description: string; readonly defaultValue?: unknown }): string {
  const { description, defaultValue } = option;
  return defaultValue === undefined ? description : `${description}; default: ${String(defaultValue)}`;
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${text.endsWith('.') ? '' : '.'}`;
}
