import type { Fault } from '../config/fault.ts';
import type { Imported, Notice } from '../config/import-notice.ts';
import { formatCidr, parseCidr, unmappedCidr } from '../packet/cidr.ts';
import { formatPortRange, type PortRange, type Protocol, parsePortRange } from '../packet/port.ts';
import { commonServicesIn } from '../policy/service-ports.ts';
import { quoted } from '../text/plain.ts';
import { readPortsentry } from './portsentry-file.ts';
import { checked, foreignYaml, yamlText } from './write-yaml.ts';

/** Whether a text is a portsentry.conf: settings in capitals, and no sections. */
export function isPortsentry(text: string): boolean {
  const lines = text.split(/\r?\n/).map((line) => line.trim());
  return (
    !lines.some((line) => /^\[.*\]$/.test(line)) &&
    lines.some((line) =>
      /^(TCP_PORTS|UDP_PORTS|BLOCK_TCP|SCAN_TRIGGER|IGNORE_FILE|ADVANCED_\w+)\s*=/.test(line),
    )
  );
}

interface Setting {
  readonly value: string;
  readonly line: number;
}

/** What has no equal, and what to do instead. */
const NO_EQUAL: Readonly<Record<string, string>> = {
  HISTORY_FILE: 'no equal: bans are kept in the state file; see `nfknock bans`',
  BLOCKED_FILE: 'no equal: bans are kept in the state file; see `nfknock bans`',
  RESOLVE_HOST: 'no equal: no names are looked up, since anyone who scans could watch the look-ups',
  KILL_ROUTE: "taken over by nfknock's own bans, which drop every packet of the source in the kernel",
  KILL_HOSTS_DENY: 'no equal: the kernel drops the packets before any service sees them',
  KILL_RUN_CMD:
    'no equal: no command is run for a ban; follow the log with `nfknock tail -f --event "ban.*" --json`',
  KILL_RUN_CMD_FIRST: 'no equal: no command is run for a ban',
  PORT_BANNER: 'no equal: packets are dropped, nothing is answered',
};
const KNOWN = [
  'TCP_PORTS',
  'UDP_PORTS',
  'ADVANCED_PORTS_TCP',
  'ADVANCED_PORTS_UDP',
  'ADVANCED_EXCLUDE_TCP',
  'ADVANCED_EXCLUDE_UDP',
  'BLOCK_TCP',
  'BLOCK_UDP',
  'SCAN_TRIGGER',
  'IGNORE_FILE',
  'INTERFACE',
];

/** Translates a portsentry.conf (1.2 and 2.0). `ignored` is the text of its IGNORE_FILE, null where it could not be read. */
export function importPortsentry(
  text: string,
  file: string,
  ignored: (path: string) => string | null,
): Imported {
  const warnings: Notice[] = [];
  const faults: Fault[] = [];
  const settings = new Map<string, Setting>();
  const warn = (key: string, line: number, what: string): void =>
    void warnings.push({ file, line, key, text: what });
  for (const { key, value, line, rest } of readPortsentry(text, file, faults)) {
    const instead = NO_EQUAL[key];
    if (instead !== undefined) warn(key, line, instead);
    else if (!KNOWN.includes(key)) warn(key, line, 'portsentry knows no such setting; left out');
    else if (rest !== '') warn(key, line, `${quoted(rest)} behind the value is left out, as portsentry does`);
    settings.set(key, { value, line });
  }
  const decoys = (['tcp', 'udp'] as const).flatMap((protocol) =>
    decoysOf(protocol, settings, file, { warn, faults }),
  );
  if (decoys.length === 0 && faults.length === 0) {
    faults.push({
      file,
      line: 1,
      column: 1,
      key: '(file)',
      problem: 'the file has no ports',
      fix: 'name the ports to watch in TCP_PORTS or UDP_PORTS',
    });
  }
  if (faults.length > 0) return { ok: false, faults };
  const yaml = foreignYaml({
    from: file,
    notes: [
      'portsentry leaves out ports that a service of this machine listens on; nfknock drops every packet to a decoy.',
      'Take the ports of your services out of "decoys" and name those that are open to everyone in "allow".',
    ],
    interfaces: interfacesOf(settings, warn),
    doors: [],
    decoys,
    bans: bansOf(settings, warn, ignored),
    log: null,
  });
  return checked(yaml, warnings, file);
}

type Warn = (key: string, line: number, what: string) => void;
type Settings = ReadonlyMap<string, Setting>;

function decoysOf(
  protocol: Protocol,
  settings: Settings,
  file: string,
  { warn, faults }: { readonly warn: Warn; readonly faults: Fault[] },
): string[] {
  const upper = protocol.toUpperCase();
  const listed = settings.get(`${upper}_PORTS`);
  const advanced = settings.get(`ADVANCED_PORTS_${upper}`);
  const excluded = settings.get(`ADVANCED_EXCLUDE_${upper}`);
  const ranges = (setting: Setting | undefined, key: string): PortRange[] =>
    (setting?.value ?? '')
      .split(',')
      .map((word) => word.trim())
      .filter((word) => word !== '')
      .flatMap((word) => {
        const range = parsePortRange(`${word}/${protocol}`);
        if (range === undefined)
          faults.push({
            file,
            line: setting?.line ?? 1,
            column: 1,
            key,
            problem: `${quoted(word)} is not a port or range from 1 to 65535`,
            fix: 'correct the list, for example 1,11,6000-6100',
          });
        return range === undefined ? [] : [range];
      });
  let found = ranges(listed, `${upper}_PORTS`);
  const out = ranges(excluded, `ADVANCED_EXCLUDE_${upper}`);
  if (found.length === 0 && advanced !== undefined) {
    found = without(ranges({ ...advanced, value: `1-${advanced.value}` }, `ADVANCED_PORTS_${upper}`), out);
  } else if (advanced !== undefined) {
    warn(
      `ADVANCED_PORTS_${upper}`,
      advanced.line,
      `the list ${upper}_PORTS is taken; for what the advanced mode did write "decoys: all"`,
    );
  }
  const block = settings.get(`BLOCK_${upper}`);
  const other = settings.get(protocol === 'tcp' ? 'BLOCK_UDP' : 'BLOCK_TCP');
  if (found.length > 0 && blocks(other) && !blocks(block)) {
    const why = `portsentry only logs ${upper}; a decoy here is a strike whatever the protocol, so the ports of ${upper}_PORTS are left out`;
    warn(`${upper}_PORTS`, listed?.line ?? advanced?.line ?? 1, why);
    return [];
  }
  const services = [...new Set(found.flatMap(commonServicesIn))];
  if (services.length > 0)
    warn(
      `${upper}_PORTS`,
      listed?.line ?? advanced?.line ?? 1,
      `${services.join(', ')} often have a service: take out those that have one here, as portsentry does by itself`,
    );
  return found.map(formatPortRange);
}

function without(ranges: readonly PortRange[], out: readonly PortRange[]): PortRange[] {
  return out.reduce<PortRange[]>(
    (rest, gone) =>
      rest.flatMap((range) => {
        if (gone.last < range.first || gone.first > range.last) return [range];
        const parts = [
          { first: range.first, last: gone.first - 1 },
          { first: gone.last + 1, last: range.last },
        ];
        return parts
          .filter(({ first, last }) => first <= last)
          .flatMap(({ first, last }) => parsePortRange(`${first}-${last}/${range.protocol}`) ?? []);
      }),
    [...ranges],
  );
}

function blocks(setting: Setting | undefined): boolean {
  return setting?.value === '1';
}

function interfacesOf(settings: Settings, warn: Warn): string[] {
  const setting = settings.get('INTERFACE');
  if (setting === undefined || setting.value === '' || /^all$/i.test(setting.value)) return [];
  const names = setting.value
    .split(/[\s,]+/)
    .filter((name) => /^[A-Za-z0-9][A-Za-z0-9_.@-]{0,14}$/.test(name));
  if (names.length === 0)
    warn('INTERFACE', setting.line, 'is no name of an interface; every interface but lo is watched');
  return names;
}

/** Touches before a ban: strikes of 262,144 sources that are remembered, within the limit of memory. */
const TRIGGER_MAX = 255;

function bansOf(
  settings: Settings,
  warn: Warn,
  ignored: (path: string) => string | null,
): (readonly [string, string])[] {
  const trigger = settings.get('SCAN_TRIGGER');
  const asked = /^\d{1,9}$/.test(trigger?.value ?? '') ? Number(trigger?.value) : 0;
  const touches = Math.min(asked, TRIGGER_MAX);
  if (trigger !== undefined && String(touches) !== trigger.value)
    warn('SCAN_TRIGGER', trigger.line, `${quoted(trigger.value)} is taken as ${touches}`);
  const bans: (readonly [string, string])[] = [
    [`strikes: ${touches + 1}`, `SCAN_TRIGGER="${touches}"`],
    ['within: 7d', 'portsentry never forgets a touch; this is the longest that nfknock counts'],
    ['for: 24d', 'portsentry blocks for ever; this is the longest that nfknock bans'],
    ['max: 24d', ''],
    ['escalate: 1', ''],
  ];
  for (const key of ['BLOCK_TCP', 'BLOCK_UDP']) {
    const setting = settings.get(key);
    if (setting?.value === '2')
      warn(key, setting.line, 'no equal: no command is run for a ban; it is said in the log alone');
  }
  if (![settings.get('BLOCK_TCP'), settings.get('BLOCK_UDP')].some(blocks))
    bans.push([
      'enforce: false',
      'BLOCK_TCP and BLOCK_UDP are not "1": what would be banned is said, nothing is done',
    ]);
  const never = neverOf(settings.get('IGNORE_FILE'), warn, ignored);
  if (never.length > 0) bans.push([`never: [${never.map(yamlText).join(', ')}]`, 'IGNORE_FILE']);
  return bans;
}

function neverOf(
  setting: Setting | undefined,
  warn: Warn,
  ignored: (path: string) => string | null,
): string[] {
  if (setting === undefined || setting.value === '') return [];
  const text = ignored(setting.value);
  if (text === null) {
    warn(
      'IGNORE_FILE',
      setting.line,
      `${quoted(setting.value)} could not be read: write its addresses into "bans.never"`,
    );
    return [];
  }
  const words = text
    .split(/\r?\n/)
    .map((line) => (line.split('#')[0] ?? '').trim())
    .filter((word) => word !== '' && word !== '0.0.0.0' && !word.startsWith('127.') && word !== '::1');
  const networks = words.map((word) => parseCidr(word));
  const refused = words.filter((_, index) => networks[index] === undefined);
  if (refused.length > 0)
    warn(
      'IGNORE_FILE',
      setting.line,
      `${refused.slice(0, 3).map(quoted).join(', ')} is no address or network of its own; left out of "bans.never"`,
    );
  return networks.flatMap((network) => (network === undefined ? [] : [formatCidr(unmappedCidr(network))]));
}
