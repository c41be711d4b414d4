import type { KeyEntry } from '../config/key-file-edit.ts';
import { formatCidr, parseCidr } from '../packet/cidr.ts';
import { formatPort, type PortSpec, parsePort } from '../packet/port.ts';
import { quoted } from '../text/plain.ts';
import type { Directive } from './directive.ts';
import { fwknopSecrets } from './fwknop-credential.ts';
import type { Stanza } from './fwknop-file.ts';
import type { Findings } from './knockd-command.ts';
import { tellUser } from './knockd-step.ts';
import { harmToOurs } from './rule-upkeep.ts';
import { splitCommand } from './shell-words.ts';
import { yamlText } from './write-yaml.ts';

/** A stanza in our words: what opens, and for whom. */
export interface TranslatedStanza {
  readonly line: number;
  readonly ports: readonly PortSpec[];
  /** The door's lines behind `knock`. */
  readonly lines: readonly string[];
  /** Null: there is no key that can be taken. */
  readonly entry: KeyEntry | null;
  readonly user: string | null;
}

/** fwknopd's own defaults, in seconds. */
const TIMEOUT = 30;
const TIMEOUT_MAX = 300;
const SECONDS_MAX = 2_000_000;

const CMD = 'no equal: no packet runs commands here; write what the door is to run into on_open';
/** What has no equal, and what to do instead. */
const NO_EQUAL: Readonly<Record<string, string>> = {
  RESTRICT_PORTS: 'no equal, and none is needed: a key opens its doors and nothing else',
  FORCE_SNAT: 'no equal: keep your own rules for this',
  FORCE_MASQUERADE: 'no equal: keep your own rules for this',
  FORWARD_ALL: 'no equal: write the ports that are forwarded, and a door for them',
  DISABLE_DNAT: 'is the default here: leave dnat: true out of the door',
  ENABLE_CMD_EXEC: CMD,
  ENABLE_CMD_SUDO_EXEC: CMD,
  CMD_EXEC_USER: CMD,
  CMD_EXEC_GROUP: CMD,
  CMD_SUDO_EXEC_USER: CMD,
  CMD_SUDO_EXEC_GROUP: CMD,
  '%include': 'is not read: import that file too, and put both together',
  '%include_folder': 'is not read: import those files too, and put all together',
  '%include_keys': 'is not read: put its keys into the stanza, and import again',
};
/** What is read elsewhere in here. */
const READ = new Set([
  ...['SOURCE', 'DESTINATION', 'OPEN_PORTS', 'KEY', 'KEY_BASE64', 'HMAC_KEY', 'HMAC_KEY_BASE64'],
  ...['HMAC_DIGEST_TYPE', 'ENCRYPTION_MODE', 'FW_ACCESS_TIMEOUT', 'MAX_FW_TIMEOUT', 'REQUIRE_SOURCE_ADDRESS'],
  ...['REQUIRE_SOURCE', 'REQUIRE_USERNAME', 'ACCESS_EXPIRE', 'ACCESS_EXPIRE_EPOCH', 'CMD_CYCLE_OPEN'],
  ...['CMD_CYCLE_CLOSE', 'CMD_CYCLE_TIMER', 'FORCE_NAT'],
]);

/** Translates a stanza; undefined: it is a fault. */
export function fwknopStanza({ line, directives }: Stanza, findings: Findings): TranslatedStanza | undefined {
  const found = new Map(directives.map((each) => [each.name, each]));
  const warn = (name: string, text: string): void => findings.warn(found.get(name)?.line ?? line, name, text);
  for (const { name } of directives) {
    if (READ.has(name) || name.startsWith('GPG_')) continue;
    warn(name, NO_EQUAL[name] ?? 'fwknopd knows no such option; left out');
  }
  const ports = portsOf(found.get('OPEN_PORTS'), line, findings);
  if (ports === undefined) return undefined;
  const secrets = fwknopSecrets(found, line);
  if (!secrets.ok) findings.warn(secrets.line, secrets.key, secrets.why);
  const timer = found.has('CMD_CYCLE_OPEN') ? found.get('CMD_CYCLE_TIMER') : undefined;
  const life = secondsOf(found.get('FW_ACCESS_TIMEOUT') ?? timer, TIMEOUT, warn);
  const user = userOf(found.get('REQUIRE_USERNAME'), warn);
  const lines = [
    `opens: [${ports.map(formatPort).join(', ')}]`,
    `for: ${life}s`,
    ...forwardLines(found.get('FORCE_NAT'), ports, warn),
    ...hookLines(found, warn),
  ];
  const limits = limitsOf(found, user, warn);
  const entry = secrets.ok
    ? { ...(user === null ? {} : { person: user }), fwknop: secrets.fwknop, ...limits }
    : null;
  return { line, ports, lines, entry, user };
}

type Warn = (name: string, text: string) => void;

function portsOf(
  open: Directive | undefined,
  line: number,
  { fault }: Findings,
): readonly PortSpec[] | undefined {
  if (open === undefined) {
    const problem = 'without it fwknopd opens whatever port the client asks for, which has no equal';
    fault(line, 'OPEN_PORTS', problem, 'write the ports into the stanza, for example OPEN_PORTS tcp/22');
    return undefined;
  }
  const items = open.value.split(/[\s,]+/).filter((item) => item !== '');
  const ports = items.flatMap((item) => {
    const [, protocol = '', port = ''] = /^(tcp|udp)\/(\d{1,5})$/i.exec(item) ?? [];
    return parsePort(`${port}/${protocol.toLowerCase()}`) ?? [];
  });
  if (ports.length === items.length && ports.length > 0)
    return [...new Map(ports.map((port) => [formatPort(port), port])).values()];
  fault(
    open.line,
    'OPEN_PORTS',
    `${quoted(open.value)} is no list of ports`,
    'write for example tcp/22,udp/53',
  );
  return undefined;
}

function secondsOf(directive: Directive | undefined, fallback: number, warn: Warn): number {
  if (directive === undefined) return fallback;
  const seconds = Number(directive.value);
  if (/^\d+$/.test(directive.value) && seconds >= 1 && seconds <= SECONDS_MAX) return seconds;
  warn(directive.name, `${quoted(directive.value)} is no number of seconds from 1; ${fallback} is written`);
  return fallback;
}

function userOf(directive: Directive | undefined, warn: Warn): string | null {
  if (directive === undefined) return null;
  if (/^[A-Za-z0-9][A-Za-z0-9 ._@'-]{0,63}$/.test(directive.value)) return directive.value;
  warn(directive.name, "can't be a person's name here; left out: any user is taken");
  return null;
}

function forwardLines(nat: Directive | undefined, ports: readonly PortSpec[], warn: Warn): readonly string[] {
  if (nat === undefined) return [];
  const [host = '', port = ''] = nat.value.split(/\s+/);
  if (parseCidr(host) === undefined || host.includes('/')) {
    warn(nat.name, `${quoted(nat.value)} does not begin with an address; left out`);
    return [];
  }
  if (ports.some((each) => String(each.port) !== port))
    warn(
      nat.name,
      `translates to port ${quoted(port)}; here a port stays the same: let the service listen there too`,
    );
  return [`forward: ${host}`, 'dnat: true'];
}

/** fwknopd's words in a command, and ours. */
const VARIABLES: Readonly<Record<string, string>> = { IP: '%IP%', SRC: '%IP%', PORT: '%PORTS%' };

function hookLines(found: ReadonlyMap<string, Directive>, warn: Warn): readonly string[] {
  const lines: string[] = [];
  for (const [name, key] of [
    ['CMD_CYCLE_OPEN', 'on_open'],
    ['CMD_CYCLE_CLOSE', 'on_close'],
  ] as const) {
    const value = found.get(name)?.value;
    if (value === undefined || /^none$/i.test(value)) continue;
    const unknown = value.match(/\$(PROTO|DST|PKT_SRC|TIMEOUT|CLIENT_TIMEOUT)\b/g) ?? [];
    const ours = value.replace(/\$(IP|SRC|PORT)\b/g, (_, variable: string) => VARIABLES[variable] ?? '');
    const { words, shell, commands } = splitCommand(
      unknown.reduce((text, each) => text.replaceAll(each, 'x'), ours),
    );
    const several = commands.length > 1 ? words.filter((word) => /^(;|&&|\|\|)$/.test(word)) : [];
    if (unknown.length > 0 || shell.length > 0 || several.length > 0) {
      const what = [...new Set([...unknown, ...shell, ...several])].join(' ');
      warn(
        name,
        `${what} means nothing here, where no shell runs; left out: put the command into a script, and write ${key}: [SCRIPT, "%IP%", "%PORTS%"]`,
      );
      continue;
    }
    const harm = harmToOurs(words);
    if (harm !== undefined) {
      warn(name, harm);
      continue;
    }
    tellUser(words, (text) => warn(name, text));
    lines.push(`${key}: [${words.map(yamlText).join(', ')}]`);
  }
  if (found.has('CMD_CYCLE_OPEN'))
    warn(
      'CMD_CYCLE_OPEN',
      'fwknopd runs this instead of opening the ports; here the door opens as well, and no packet waits for the command',
    );
  return lines;
}

function limitsOf(found: ReadonlyMap<string, Directive>, user: string | null, warn: Warn): KeyEntry {
  const networks = (name: 'SOURCE' | 'DESTINATION'): readonly string[] => {
    const value = found.get(name)?.value ?? 'ANY';
    const items = value.split(/[\s,]+/).filter((item) => item !== '');
    if (items.length === 0 || items.some((item) => /^any$/i.test(item))) return [];
    return items.flatMap((item) => {
      const network = parseCidr(item);
      if (network === undefined)
        warn(name, `${quoted(item)} is no network; left out: write it into the key file`);
      return network === undefined ? [] : [formatCidr(network)];
    });
  };
  const [from, to] = [networks('SOURCE'), networks('DESTINATION')];
  const required = found.get('REQUIRE_SOURCE_ADDRESS') ?? found.get('REQUIRE_SOURCE');
  const expires = expiryOf(found, warn);
  return {
    ...(/^y/i.test(required?.value ?? '') ? { address: 'required' } : {}),
    ...(from.length === 0 ? {} : { from }),
    ...(to.length === 0 ? {} : { to }),
    ...(user === null ? {} : { user }),
    ...(expires === null ? {} : { expires }),
    for_max: `${secondsOf(found.get('MAX_FW_TIMEOUT'), TIMEOUT_MAX, warn)}s`,
  };
}

function expiryOf(found: ReadonlyMap<string, Directive>, warn: Warn): string | null {
  const epoch = found.get('ACCESS_EXPIRE_EPOCH');
  if (epoch !== undefined && /^\d{1,10}$/.test(epoch.value))
    return new Date(Number(epoch.value) * 1000).toISOString().replace('.000Z', 'Z');
  const day = found.get('ACCESS_EXPIRE');
  const [, month = '', date = '', year = ''] = /^(\d{1,2})\/(\d{1,2})\/(\d{4})$/.exec(day?.value ?? '') ?? [];
  if (year !== '') return `${year}-${month.padStart(2, '0')}-${date.padStart(2, '0')}`;
  const wrong = epoch ?? day;
  if (wrong !== undefined)
    warn(wrong.name, `${quoted(wrong.value)} is no date; left out: the key does not expire`);
  return null;
}
