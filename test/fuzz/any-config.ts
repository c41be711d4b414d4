import { parseConfig } from '../../src/config/parse.ts';
import type { Config } from '../../src/policy/config.ts';
import type { Random } from './random.ts';

/** What may stand for each key: sound values for the most part, at their limits, and such as don't go together. */
type Choices = readonly unknown[];

const PORTS: Choices = [7000, '7000/udp', 8000, '8000/udp', 9000, 22, '53/udp', 1, 65_535, '65535/udp', 0];
const RANGES: Choices = [...PORTS, '6000-6100/tcp', '1-65535/udp', '22-23', '8000-9000', '5-5/udp', '9-8'];
const FLAGS: Choices = ['syn', 'syn,!ack', '!syn', 'fin,psh,urg', 'ack,!rst', 'SYN', 'none', 'syn,!syn'];
const TIMES: Choices = ['0ms', '1ms', '250ms', '1s', '5s', '10s', '2m', '1h', '7d', '24d', '25d', '1500ms'];
const NETWORKS: Choices = [
  '198.51.100.7',
  '192.0.2.0/24',
  '0.0.0.0/0',
  '2001:db8::/32',
  '2001:db8::7',
  '::/0',
  '::ffff:192.0.2.1',
  '192.0.2.1/24',
];
const COMMANDS: Choices = [
  ['/bin/true'],
  ['/usr/local/bin/notify', 'open', '%IP%', '%DOOR%', '%PORTS%'],
  ['/bin/sh', '-c', 'x; %IP%'],
  ['/bin/e', '\u001b[2J'],
  ['true'],
  null,
];
const TRUTHS: Choices = [true, false];
const NAMES = ['ssh', 'web-1', 'x_y', 'a', 'abcdefghijklmnopqrstuvwx', '7', 'a-', '__proto__', '-a'];
const INTERFACES: Choices = ['eth0', 'wlan0', 'lo', 'br-0123456789a', 'eth0.7', 'veth@x', '-i', 'a b'];

const DOOR: { readonly [key: string]: Choices } = {
  within: TIMES,
  tolerate: [0, 1, 100, 101],
  flags: FLAGS,
  for: TIMES,
  uses: [null, 1, 3, 1_000_000, 0],
  holders: [null, 1, 65_536],
  grant: ['source', 'source', 'any', ...NETWORKS],
  forward: [null, null, '10.0.0.5', '2001:db8::5', '10.0.0.0/8'],
  dnat: TRUTHS,
  on_open: COMMANDS,
  on_close: COMMANDS,
};
const LISTEN: { readonly [key: string]: Choices } = {
  source: ['nfqueue', 'nflog'],
  queues: [0, '0-1', 65_534, '7-70', '3-1'],
  group: [5, 0, 65_535, 65_536],
};
const BANS: { readonly [key: string]: Choices } = {
  strikes: [1, 3, 1000, 0],
  within: TIMES,
  for: TIMES,
  escalate: [1, 1.5, 100, 0],
  max: TIMES,
  strike_on_service: TRUTHS,
  enforce: TRUTHS,
  scope: ['all', 'hidden'],
  cut: TRUTHS,
  limit: [1, 262_144, 4_194_304],
};
const TOP: { readonly [key: string]: Choices } = {
  grants: ['rule', 'set'],
  answer: ['drop', 'closed'],
  accept: ['auto', 'return', 'own'],
  memory: [{ sources: 1 }, { sources: 4_194_304 }],
  state: ['/var/lib/nfknock/state.db', '/x'],
  control: ['/run/nfknock/control.sock', `/${'x'.repeat(106)}`],
  metrics: [null, '127.0.0.1:9477', '[::1]:9477'],
};

/** A configuration with whatever keys and values: about one in seven is sound. */
export function anyConfig(random: Random): string {
  const one = (choices: Choices): unknown => choices[random(choices.length)];
  const some = (choices: Choices, most: number): unknown[] =>
    Array.from({ length: random(most + 1) }, () => one(choices));
  // Each key is there in one case of six: were there many, one of them would always be wrong.
  const few = (keys: { readonly [key: string]: Choices }): [string, unknown][] =>
    Object.entries(keys).flatMap(([key, choices]): [string, unknown][] =>
      random(6) === 0 ? [[key, one(choices)]] : [],
    );
  const maybe = (key: string, value: () => unknown): [string, unknown][] =>
    random(4) === 0 ? [[key, value()]] : [];
  const range = (): string => `${1000 + random(60_000)}${random(2) === 0 ? '' : '/udp'}`;
  const door = (): object => ({
    knock: random(4) === 0 ? some(PORTS, 4) : Array.from({ length: 1 + random(4) }, range),
    opens: random(4) === 0 ? some(RANGES, 3) : [1 + random(999)],
    ...Object.fromEntries(few(DOOR)),
    ...Object.fromEntries(maybe('gap', () => ({ min: one(TIMES), max: one(TIMES) }))),
    ...Object.fromEntries(maybe('close', () => Array.from({ length: 1 + random(3) }, range))),
  });
  const doors = Array.from({ length: 1 + random(3) }, () => [NAMES[random(NAMES.length)], door()]);
  const config = {
    doors: Object.fromEntries(doors) as object,
    ...Object.fromEntries([
      ...maybe('listen', () => Object.fromEntries([...few(LISTEN), ['interfaces', some(INTERFACES, 2)]])),
      ...maybe('decoys', () => (random(2) === 0 ? 'all' : some(RANGES, 3))),
      ...maybe('allow', () => some(RANGES, 2)),
      ...maybe('bans', () => Object.fromEntries([...few(BANS), ['never', some(NETWORKS, 2)]])),
      ...few(TOP),
    ]),
  };
  return `${JSON.stringify(config)}\n`;
}

interface Drawn {
  readonly text: string;
  readonly config: Config;
}

/** The next of those configurations that is sound, after `change` has had its text. */
export function soundConfig(random: Random, change = (text: string): string => text): Drawn {
  for (;;) {
    const text = change(anyConfig(random));
    const parsed = parseConfig(text, 'any.yaml');
    if (parsed.ok) return { text, config: parsed.config };
  }
}
