import { formatFault } from '../../src/config/fault.ts';
import type { Imported } from '../../src/config/import-notice.ts';
import { parseConfig } from '../../src/config/parse.ts';
import { settingsOf } from '../../src/config/settings.ts';
import { rulesFor } from '../../src/firewall/rules/rules.ts';
import { importKnockd } from '../../src/importers/knockd.ts';
import { importPortsentry } from '../../src/importers/portsentry.ts';
import { warnings } from '../../src/strength/warnings.ts';
import { anyConfig } from './any-config.ts';
import { mutateText, pick, type Random, varyText } from './random.ts';
import { check, ofText, type Target } from './target.ts';

const YAML = `doors:
  ssh:
    knock: [7000/tcp, 8000/udp, 9000/tcp]
    within: 10s
    gap: { min: 0ms, max: 5s }
    flags: "syn,!ack"
    opens: [22/tcp, 6000-6100/udp]
    close: [9000/tcp, 8000/udp]
    on_open: ["/usr/local/bin/notify", "open", "%IP%"]
decoys: [23/tcp, 5900-5910/tcp]
allow: [80/tcp]
bans: { strikes: 3, for: 10m, never: [192.0.2.0/24, "2001:db8::/32"], rate: { packets: 20, per: 1s } }
metrics: 127.0.0.1:9477
`;
/** Short ones beside it, each about a part of the whole: what is quick to read is tried oftener. */
const YAML_PIECES = [
  'doors: { a: { knock: [7000/tcp, 8000/udp], opens: [22/tcp] } }\n',
  'doors:\n  a: { knock: [1, 2, 3], opens: [22], within: 10s, gap: { min: 50ms, max: 5s }, tolerate: 1 }\n',
  'doors:\n  a:\n    knock: [1, 2]\n    close: [2, 1]\n    opens: [6000-6100/udp]\n    flags: "syn,!ack"\n    for: 30s\n',
  'doors: { a: { knock: [1, 2], opens: [22], uses: 1, holders: 2, grant: 192.0.2.0/24 } }\n',
  'doors: { a: { one_time: /etc/nfknock/a.sequences, opens: [22] } }\n',
  'doors: { a: { knock: [1], opens: [22], on_open: ["/bin/x", "%IP%"], cut: true } }\ndecoys: all\n',
  'decoys: [23/tcp, 5900-5910/tcp]\nallow: [80/tcp, 443]\ndoors: { a: { knock: [1], opens: [22] } }\n',
  'bans: { strikes: 3, within: 1m, for: 10m, escalate: 2, max: 7d, scope: hidden, limit: 1000 }\ndoors: {}\n',
  'bans: { never: [192.0.2.0/24, "2001:db8::/32"], rate: { packets: 20, per: 1s }, enforce: false }\n',
  'metrics: 127.0.0.1:9477\nsource: nfqueue\ndoors: { a: { knock: [1], opens: [22] } }\n',
  'x: &a [1/tcp]\ndoors: { a: { knock: *a, opens: *a } }\n',
];
const YAML_WORDS = [
  '{',
  '}',
  '[',
  ']',
  ': ',
  '- ',
  '\n',
  '  ',
  '&a',
  '*a',
  '<<: *a',
  '!!js',
  '|',
  '>',
  '"',
  "'",
  '#',
  '~',
  '0x7',
  '1e9',
  'all',
  'null',
  '---',
  '\t',
  '%',
  '/tcp',
  '7d',
  '-5s',
];

function yamlOf(random: Random): string {
  switch (random(4)) {
    case 0:
      return anyConfig(random);
    case 1:
      return mutateText(anyConfig(random), YAML_WORDS, random);
    default: {
      const sound = random(32) === 0 ? YAML : pick(YAML_PIECES, random(YAML_PIECES.length), YAML);
      return mutateText(sound, YAML_WORDS, random);
    }
  }
}

/** A line of what iptables-restore reads: a table, a chain, a rule, its end; with nothing in it that is not shown. */
const RULE_LINE = /^(\*filter|\*nat|:[\w-]+ \S+ \[0:0\]|-[AID] [\w-]+ [\x20-\x7e]+|COMMIT|#[\x20-\x7e]*|)$/;

export const configuration: Target = {
  name: 'configurations',
  short: 1_000,
  long: 10_000_000,
  start: (random) => ({
    make: () => Buffer.from(yamlOf(random)),
    vary: (kept) => varyText(kept, YAML_WORDS, random),
    take(input) {
      const parsed = parseConfig(input.toString(), 'f.yaml');
      if (parsed.ok) {
        settingsOf(parsed.config, () => []);
        const said = warnings(parsed.config);
        check(
          said.every(({ text, fix }) => !/\p{Cc}/u.test(text + fix)),
          'a warning is one line on a terminal',
        );
        for (const family of [4, 6] as const) {
          for (const line of rulesFor(parsed.config, family).text.split('\n'))
            check(RULE_LINE.test(line), `a rule is one: ${JSON.stringify(line)}`);
        }
        return 'sound';
      }
      check(parsed.faults.length > 0, 'what is refused has a fault');
      for (const fault of parsed.faults)
        check(!/\p{Cc}/u.test(formatFault(fault)), 'a fault is one line on a terminal');
      return 'faults';
    },
    close: () => undefined,
  }),
};

const KNOCKD = `[options]
 UseSyslog
[openSSH]
 sequence = 7000,8000:udp,9000
 seq_timeout = 5
 command = /sbin/iptables -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT
 tcpflags = syn
`;
const KNOCKD_WORDS = [
  ...YAML_WORDS,
  '=',
  '[options]',
  '%IP%',
  'one_time_sequences = /x',
  'start_command',
  ';',
  '$(',
];

const PORTSENTRY = `TCP_PORTS="1,7,512-515,31337"
UDP_PORTS="7,161"
ADVANCED_EXCLUDE_TCP="22,80"
IGNORE_FILE="/etc/portsentry.ignore"
BLOCK_TCP="1"
BLOCK_UDP="2"
SCAN_TRIGGER="2"
KILL_ROUTE="/sbin/iptables -I INPUT -s $TARGET$ -j DROP"
INTERFACE="eth0"
`;
const PORTSENTRY_WORDS = [
  ...YAML_WORDS,
  '="',
  'ADVANCED_PORTS_TCP="1024"',
  'RESOLVE_HOST="1"',
  '$TARGET$',
  '$(',
  '65536',
  '9-1',
  ',',
];
const IGNORED = '127.0.0.1/32\n0.0.0.0\n2001:db8::/32\n';

/** What an importer makes of a text: what it translates is a configuration, sound or with faults. */
function translated(imported: Imported): string {
  if (!imported.ok) return 'faults';
  const parsed = parseConfig(imported.yaml, 'i.yaml');
  check(parsed.ok || parsed.faults.length > 0, 'what is imported can be read');
  return parsed.ok ? 'sound' : 'sound for the other alone';
}

export const knockd: Target = ofText(
  { name: 'knockd.conf', short: 800, long: 500_000 },
  [KNOCKD, KNOCKD_WORDS],
  (text) => translated(importKnockd(text, 'k.conf')),
);

export const portsentry: Target = ofText(
  { name: 'portsentry.conf', short: 800, long: 500_000 },
  [PORTSENTRY, PORTSENTRY_WORDS],
  (text, random) => {
    const ignored = mutateText(IGNORED, PORTSENTRY_WORDS, random);
    return translated(importPortsentry(text, 'p.conf', () => (random(8) === 0 ? null : ignored)));
  },
);
