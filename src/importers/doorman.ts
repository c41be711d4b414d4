import type { Fault } from '../config/fault.ts';
import type { ForeignKey, Imported, Notice } from '../config/import-notice.ts';
import { formatCidr, parseCidr } from '../packet/cidr.ts';
import { isPort } from '../packet/port.ts';
import { DOORMAN_PORT } from '../policy/keys-queue.ts';
import { quoted } from '../text/plain.ts';
import { freeName } from './free-name.ts';
import { checked, foreignYaml, type YamlDoor } from './write-yaml.ts';

/** Services that people guard, by the names that a guestlist may have instead of their numbers. */
const SERVICES: Readonly<Record<string, number>> = {
  ...{ ftp: 21, ssh: 22, telnet: 23, smtp: 25, http: 80, pop3: 110, imap: 143, https: 443 },
  ...{ imaps: 993, pop3s: 995, mysql: 3306, rdp: 3389, postgresql: 5432, vnc: 5900 },
};

interface GuestRecord {
  readonly line: number;
  readonly words: readonly string[];
}

/** Whether a text is a guestlist: records of a group, its secret, ports and addresses, and nothing else. */
export function isGuestlist(text: string): boolean {
  const records = recordsOf(text);
  return (
    records.length > 0 &&
    records.every(
      ({ words: [group = '', secret = '', ...rest] }) =>
        !group.includes('.') &&
        !group.includes('=') &&
        secret !== '' &&
        !secret.includes('.') &&
        portsIn(rest).length > 0,
    ) &&
    records.some(({ words }) => words.slice(2).every((word) => word.includes('.') || isServiceWord(word)))
  );
}

/** Translates doorman's guestlist (0.81). The secrets are apart from the text, and in no warning. */
export function importGuestlist(text: string, file: string): Imported {
  const warnings: Notice[] = [];
  const faults: Fault[] = [];
  const warn = (line: number, what: string): void =>
    void warnings.push({ file, line, key: '(record)', text: what });
  const doors = new Map<string, YamlDoor>();
  const names = new Set<string>();
  const keys: ForeignKey[] = [];
  for (const { line, words } of recordsOf(text)) {
    const [group = '', secret = '', ...rest] = words;
    const from: string[] = [];
    const ports: number[] = [];
    for (const word of rest) {
      const port = portOf(word);
      const network = word.includes('.') ? parseCidr(word) : undefined;
      if (network !== undefined) from.push(formatCidr(network));
      else if (port !== undefined) ports.push(port);
      else
        warn(
          line,
          `${quoted(word)} is neither a port nor an address here; left out: write a number, or a network such as 192.0.2.0/24`,
        );
    }
    if (!/^[!-~]{1,32}$/.test(group) || ports.length === 0) {
      const problem = 'this record has no group of at most 32 characters, or no port';
      faults.push({
        file,
        line,
        column: 1,
        key: '(record)',
        problem,
        fix: 'expected GROUP SECRET PORT… ADDRESS…',
      });
      continue;
    }
    // Whoever knocks asks for one port, and the door opens as a whole: so each port is a door.
    const opened = ports.map((port) => {
      const opens = `opens: [${port}/tcp]`;
      const service = Object.entries(SERVICES).find(([, number]) => number === port)?.[0] ?? `tcp-${port}`;
      const door = doors.get(opens) ?? {
        name: service,
        comment: `asked for by ${group.replace(/[^a-z0-9_-]/gi, '')}`,
        lines: ['knock: spa', opens, 'for: 10s'],
      };
      doors.set(opens, door);
      return door.name;
    });
    const name = freeName(group, names);
    names.add(name);
    // In base64: a secret may be any text, and begin like one of ours.
    const encoded = `base64:${Buffer.from(secret).toString('base64')}`;
    const entry = {
      doorman: { group, secret: encoded },
      doors: opened,
      ...(from.length === 0 ? {} : { from }),
    };
    keys.push({ name, line, entry });
  }
  if (faults.length > 0) return { ok: false, faults };
  warnings.push({
    file,
    line: 1,
    key: '(file)',
    text: 'a packet of doorman says neither when it was made nor for whom: anyone who intercepts one can use it. Give each person a key of another kind when you can (nfknock key new)',
  });
  const yaml = foreignYaml({
    from: file,
    notes: ['Every door opens by key alone. Look at it with `nfknock check -c FILE` before use.'],
    interfaces: [],
    listen: [`spa: [${DOORMAN_PORT}/udp]`],
    doors: [...doors.values()],
    decoys: [],
    bans: [['enforce: false', 'doorman bans nobody; this says what would be banned. Take it out to ban']],
    log: null,
  });
  const imported = checked(yaml, warnings, file);
  return imported.ok ? { ...imported, keys } : imported;
}

/** Records may go on over lines that begin with a blank. */
function recordsOf(text: string): readonly GuestRecord[] {
  const records: { line: number; words: string[] }[] = [];
  for (const [index, each] of text.split(/\r?\n/).entries()) {
    const content = each.replace(/#.*$/, '');
    const words = content.split(/\s+/).filter((word) => word !== '');
    if (words.length === 0) continue;
    const last = records.at(-1);
    if (/^\s/.test(content) && last !== undefined) last.words.push(...words);
    else records.push({ line: index + 1, words });
  }
  return records;
}

function portOf(word: string): number | undefined {
  const port = /^\d{1,5}$/.test(word) ? Number(word) : SERVICES[word];
  return port !== undefined && isPort(port) ? port : undefined;
}

function portsIn(words: readonly string[]): readonly number[] {
  return words.flatMap((word) => portOf(word) ?? []);
}

function isServiceWord(word: string): boolean {
  return /^([a-z][a-z0-9-]*|\d{1,5})$/.test(word);
}
