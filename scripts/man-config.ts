import type { DoorShape } from '../src/config/door.ts';
import type { BansShape, RootShape } from '../src/config/schema.ts';
import type { Config, Listen } from '../src/policy/config.ts';
import { example, heading, page, paragraph, term } from './roff.ts';

/**
 * nfknock.yaml(5). The parser's own types force the tables to name every key, and test/unit/docs/man.test.ts
 * reads each default with the parser. Written and checked there.
 */

/** What a key means, and its default as YAML; null: it has none. */
type Note = readonly [fallback: string | null, means: string];

const LISTEN: Readonly<Record<keyof Listen, Note>> = {
  source: [
    'nfqueue',
    'how the kernel hands packets over: `nfqueue`, or `nflog`, which costs a fraction and is for machines under floods',
  ],
  queues: [
    '7219',
    'the number of the queue, or a range such as `7219-7220`; 0 is what intrusion prevention systems read, and one that accepts would let strangers in while the daemon is down',
  ],
  group: ['5', 'the number of the group, with `nflog` and for knock ports with a live service behind them'],
  interfaces: ['[]', 'interfaces that packets are judged on; empty: all but `lo`'],
};

const DOOR: Readonly<Record<keyof DoorShape, Note>> = {
  knock: [null, 'the sequence: ports such as `7000/tcp` or `8000/udp`; a bare number is tcp'],
  one_time: [null, 'instead of `knock`: a file with one sequence a line, each of which opens once'],
  within: [
    'null',
    'the longest time from first to last knock; null: the greater of 10 s and 3 s for each knock after the first',
  ],
  gap: [
    null,
    'between two knocks: `{ min: 0ms, max: 8s }`. Sooner than `min` is an offence, later than `max` is too late',
  ],
  tolerate: [
    '0',
    'wrong packets that are let pass within one attempt, since forged ones can disturb a knocker',
  ],
  flags: ['syn', 'which TCP flags a knock has, such as `syn,!ack`; a packet without them is ignored'],
  opens: [null, 'the protected ports: `[22/tcp]`, ranges such as `6000-6100/tcp` too'],
  for: ['30s', 'how long new connections are let in; established ones stay'],
  close: ['[]', 'a sequence that ends the grant'],
  uses: ['null', 'the grant ends after this many connections, each counted once both sides have spoken'],
  holders: ['null', 'most grants at once; one more ends the oldest'],
  grant: ['source', 'who is let in: `source`, `any`, or a network'],
  forward: ['null', 'the host behind this machine that has the service'],
  dnat: ['false', "with `forward`: this machine's port is translated to that host"],
  on_open: [
    'null',
    'a command as a list of words, run without a shell; `%IP%`, `%DOOR%` and `%PORTS%` are filled in',
  ],
  on_close: ['null', 'the same when the grant ends'],
};

const BANS: Readonly<Record<keyof BansShape, Note>> = {
  strikes: ['3', 'a source is banned at this many strikes'],
  within: ['60s', 'in this time'],
  for: ['10m', 'how long the first ban lasts'],
  escalate: ['2', 'each further ban lasts this many times as long as the one before'],
  max: ['7d', 'up to this'],
  rate: ['{ packets: 20, per: 1s }', 'more packets than this from one source are a scan, and a strike'],
  never: ['[]', 'networks that are never banned; they can still knock'],
  strike_on_service: ['false', 'touching a protected service without a grant is a strike'],
  enforce: ['true', '`false`: say what would be banned, ban nothing'],
  scope: [
    'all',
    '`all`: every new packet of a banned source is dropped; `hidden`: only those to knock, decoy and protected ports',
  ],
  cut: ['false', "a ban also ends the source's established connections"],
  limit: ['262144', 'bans held at once'],
};

const LOG: Readonly<Record<'level' | 'file' | 'max_size' | 'files', Note>> = {
  level: ['info', 'the least that is written: `error`, `warn`, `info` or `debug`'],
  file: ['null', 'where to; `null`: standard output, which systemd gives to the journal'],
  max_size: ['10MB', 'the file is rotated before it grows beyond this'],
  files: ['5', 'how many are kept, the one being written included'],
};

const MEMORY: Readonly<Record<keyof Config['memory'], Note>> = {
  sources: ['262144', 'sources remembered at once; the least advanced goes first when there are more'],
};

const ROOT: Readonly<Record<keyof RootShape, Note>> = {
  listen: [null, 'where packets come from'],
  doors: [null, 'names, and what each door is; the only key without a default'],
  decoys: [
    '[]',
    'ports with nothing behind them: who touches one is scanning. `all`: every port that is neither open nor a knock',
  ],
  allow: ['[]', 'services that are open to everyone'],
  answer: [
    'drop',
    'what a stranger meets at knock, decoy and protected ports: `drop`, nothing; `closed`, what a port says that nothing listens on. Take the one that the other ports of the machine give: in a scan the odd ones stand out. `closed` wants `source: nflog`',
  ],
  accept: [
    'auto',
    'who decides on packets of open connections and on `allow` in INPUT. `return`: the rules that follow, so that a ban of another program holds there; where they accept nothing, open connections break. `own`: nfknock accepts them before. `auto`: `return` where what follows accepts them, else `own`, and `nfknock status` says which rule is missing',
  ],
  bans: [null, 'who is banned, and how long'],
  grants: ['rule', '`rule`: a rule for each grant; `set`: sets with timeouts, for hundreds at once'],
  memory: [null, 'how much is remembered'],
  state: ['/var/lib/nfknock/state.db', 'the file that grants and bans are kept in'],
  control: ['/run/nfknock/control.sock', 'the socket that commands talk to the daemon by'],
  log: [null, 'the event log'],
  metrics: [
    'null',
    'where metrics are given out: `unix:/run/nfknock/metrics.sock`, or a loopback address such as `127.0.0.1:9477`, which every user of this machine can ask',
  ],
};

const NESTED: Readonly<Partial<Record<keyof RootShape, Readonly<Record<string, Note>>>>> = {
  listen: LISTEN,
  bans: BANS,
  log: LOG,
  memory: MEMORY,
};

const EXAMPLE = `doors:
  ssh:
    knock: [7000/tcp, 8000/udp, 9000/tcp]
    opens: [22/tcp]
    for: 30s
decoys: all
allow: [80/tcp, 443/tcp]
bans: { strikes: 3, within: 60s, for: 10m }`;

export function configPage(version: string): string {
  return page('nfknock.yaml', 5, `nfknock ${version}`, 'nfknock manual', [
    heading('NAME'),
    'nfknock.yaml \\- the configuration of nfknock',
    heading('DESCRIPTION'),
    paragraph(
      'One YAML file. Durations are `250ms`, `10s`, `5m`, `2h`, `7d`. Ports are `22/tcp`, `53/udp`, ranges `6000-6100/tcp`; a bare number is tcp. Everything but `doors` has a default. `nfknock check` names every error by line and column, and says how strong each door is. It holds the secret: let only root and the daemon read it.',
    ),
    example(EXAMPLE),
    heading('KEYS'),
    ...termsOf(ROOT, ''),
    heading('KEYS OF A DOOR'),
    ...termsOf(DOOR, ''),
    ...Object.entries(NESTED).flatMap(([name, notes]) => [
      heading(`KEYS OF ${name.toUpperCase()}`),
      ...termsOf(notes, `${name}.`),
    ]),
    heading('SEE ALSO'),
    '.BR nfknock (1)',
  ]);
}

/** A configuration with every key that has a default set to it: what the manual says, for the parser to judge. */
export function everyDefault(): string {
  const settings = (notes: Readonly<Record<string, Note>>, indent: string): string[] =>
    Object.entries(notes).flatMap(([key, [fallback]]) =>
      fallback === null ? [] : [`${indent}${key}: ${fallback}`],
    );
  return [
    ...settings(ROOT, ''),
    ...Object.entries(NESTED).flatMap(([name, notes]) => [`${name}:`, ...settings(notes, '  ')]),
    'doors:',
    '  ssh:',
    '    knock: [7000/tcp, 8000/udp, 9000/tcp]',
    '    opens: [22/tcp]',
    ...settings(DOOR, '    ').filter((line) => !/dnat|uses|holders|forward|on_/.test(line)),
    '',
  ].join('\n');
}

/** The same with nothing said that has a default. */
export const NOTHING_SAID = 'doors: { ssh: { knock: [7000/tcp, 8000/udp, 9000/tcp], opens: [22/tcp] } }\n';

function termsOf(notes: Readonly<Record<string, Note>>, prefix: string): string[] {
  return Object.entries(notes).map(([key, [fallback, means]]) =>
    term(
      `${prefix}${key}`,
      `${means.charAt(0).toUpperCase()}${means.slice(1)}.${fallback === null ? '' : ` Default: \`${fallback}\`.`}`,
    ),
  );
}
