import type { Fault } from '../config/fault.ts';
import type { ForeignKey, Imported, Notice } from '../config/import-notice.ts';
import { formatPort, type PortSpec } from '../packet/port.ts';
import type { Directive } from './directive.ts';
import { freeName } from './free-name.ts';
import { readDirectives, stanzasOf } from './fwknop-file.ts';
import { type FwknopServer, fwknopServer, SERVER_DEFAULTS } from './fwknop-server.ts';
import { fwknopStanza, type TranslatedStanza } from './fwknop-stanza.ts';
import type { Findings } from './knockd-command.ts';
import { checked, foreignYaml, type YamlDoor } from './write-yaml.ts';

/** A file beside the one that was named. */
export interface Beside {
  readonly file: string;
  readonly text: string;
}

/**
 * Translates fwknop's access.conf, with the fwknopd.conf beside it where there is one. The keys are apart from the text,
 * and in no warning.
 */
export function importFwknop(text: string, file: string, server: Beside | null): Imported {
  const { findings, faults, warnings } = gather(file);
  const { before, stanzas } = stanzasOf(readDirectives(text, broken(findings)));
  for (const { line, name } of before) findings.warn(line, name, 'stands before the first SOURCE; left out');
  const found = stanzas.flatMap((stanza) => fwknopStanza(stanza, findings) ?? []);
  if (faults.length > 0) return { ok: false, faults };
  const listen = server === null ? SERVER_DEFAULTS : serverOf(server, warnings);
  const { doors, keys } = doorsAndKeys(found);
  const yaml = foreignYaml({
    from: server === null ? file : `${file} and ${server.file}`,
    notes: ['Every door opens by key alone. Look at it with `nfknock check -c FILE` before use.'],
    ...listening(listen),
    doors,
    decoys: [],
    bans: [['enforce: false', 'fwknop bans nobody; this says what would be banned. Take it out to ban']],
    log: null,
  });
  const imported = checked(yaml, warnings, file);
  return imported.ok ? { ...imported, keys } : imported;
}

/** Translates fwknopd.conf with the access.conf beside it: by itself it opens nothing. */
export function importFwknopd(text: string, file: string, access: Beside | null): Imported {
  if (access !== null) return importFwknop(access.text, access.file, { file, text });
  const problem =
    'this says where packets come in; the doors and keys are in access.conf, which is not beside it';
  const fix = 'put access.conf into the same folder, and import that';
  return { ok: false, faults: [{ file, line: 1, column: 1, key: '(file)', problem, fix }] };
}

function gather(file: string): {
  readonly findings: Findings;
  readonly faults: Fault[];
  readonly warnings: Notice[];
} {
  const faults: Fault[] = [];
  const warnings: Notice[] = [];
  return {
    faults,
    warnings,
    findings: {
      warn: (line, key, what) => warnings.push({ file, line, key, text: what }),
      fault: (line, key, problem, fix) => faults.push({ file, line, column: 1, key, problem, fix }),
    },
  };
}

/** The line itself is not repeated: it may hold a key. */
function broken({ warn }: Findings): (line: number) => void {
  return (line) => warn(line, '(file)', 'this line is no directive; left out');
}

function serverOf({ file, text }: Beside, warnings: Notice[]): FwknopServer {
  const directives: readonly Directive[] = readDirectives(text, () => undefined);
  return fwknopServer(directives, (line, key, what) => warnings.push({ file, line, key, text: what }));
}

function listening({ interfaces, ports, skew }: FwknopServer): {
  readonly interfaces: readonly string[];
  readonly listen: readonly string[];
} {
  const spa = `spa: [${ports.map((port) => `${port}/udp`).join(', ')}]`;
  return { interfaces, listen: [spa, `clock_skew: ${skew}s`] };
}

/** A door for each distinct set of lines, and a key for each stanza that has one. */
function doorsAndKeys(found: readonly TranslatedStanza[]): {
  readonly doors: readonly YamlDoor[];
  readonly keys: readonly ForeignKey[];
} {
  const doors = new Map<string, YamlDoor>();
  const names = new Set<string>();
  const keys: ForeignKey[] = [];
  for (const { line, ports, lines, entry, user } of found) {
    const same = lines.join('\n');
    let door = doors.get(same);
    if (door === undefined) {
      const taken = new Set([...doors.values()].map(({ name }) => name));
      door = {
        name: freeName(stemOf(ports), taken),
        comment: `SOURCE at line ${line}`,
        lines: ['knock: spa', ...lines],
      };
      doors.set(same, door);
    }
    if (entry === null) continue;
    const name = freeName(user ?? 'fwknop', names);
    names.add(name);
    keys.push({ name, line, entry: { ...entry, doors: [door.name] } });
  }
  return { doors: [...doors.values()], keys };
}

function stemOf(ports: readonly PortSpec[]): string {
  const [first] = ports;
  if (first === undefined) return 'door';
  if (ports.length === 1 && formatPort(first) === '22/tcp') return 'ssh';
  return ports
    .slice(0, 3)
    .map((port) => `${port.protocol}-${port.port}`)
    .join('-');
}
