import { formatFault } from '../../config/fault.ts';
import { readText } from '../../config/load.ts';
import {
  isPort,
  type Port,
  type PortRange,
  type PortSpec,
  parseKnock,
  parsePortRange,
} from '../../packet/port.ts';
import { isDoorName } from '../../policy/door-name.ts';
import { digitsOf } from '../../spa/code-template.ts';
import { quoted } from '../../text/plain.ts';
import { EXIT } from '../exit.ts';
import { CommandFailure, usage } from '../failure.ts';

/** Where the daemon looks for keys if nothing says otherwise. */
const KEYS_DEFAULT = '/etc/nfknock/keys.yaml';

/** What of a configuration matters to keys. */
export interface KeyPlace {
  /** The key file. */
  readonly file: string;
  readonly doors: ReadonlyMap<string, readonly PortRange[]>;
  /** The knocks of those doors that take a one-time code. */
  readonly codes: ReadonlyMap<string, readonly PortSpec[]>;
  /** Where packets are heard; none: `listen.spa` is not set. */
  readonly ports: readonly Port[];
}

/**
 * Reads these few things alone, so that the first key can be made for a configuration that is wrong without one. Rejects
 * with CommandFailure. `named`: another key file.
 */
export async function keyPlace(config: string, named: string | undefined): Promise<KeyPlace> {
  const text = readText(config);
  if (typeof text !== 'string') {
    throw new CommandFailure(EXIT.config, text.faults.map(formatFault).join('; '));
  }
  const { parseDocument } = await import('yaml');
  const document = parseDocument(text, { version: '1.2', schema: 'core', logLevel: 'silent' });
  const root: unknown = document.errors.length > 0 ? undefined : document.toJS({ maxAliasCount: 256 });
  if (!isRecord(root)) {
    throw new CommandFailure(EXIT.config, `${config} can't be used: correct it (nfknock check ${config})`);
  }
  const { doors, listen, keys } = root;
  return {
    file: named ?? (typeof keys === 'string' && keys !== '' ? keys : KEYS_DEFAULT),
    doors: new Map(
      Object.entries(isRecord(doors) ? doors : {}).flatMap(([name, door]) =>
        isDoorName(name) ? [[name, opensOf(door)] as const] : [],
      ),
    ),
    codes: new Map(
      Object.entries(isRecord(doors) ? doors : {}).flatMap(([name, door]) => {
        const knocks = knocksIn(door);
        return isDoorName(name) && digitsOf(knocks) > 0 ? [[name, knocks] as const] : [];
      }),
    ),
    ports: listOf(isRecord(listen) ? listen['spa'] : undefined).flatMap((each) => {
      const port = Number(/^(\d{1,5})(?:\/udp)?$/.exec(String(each))?.[1]);
      return isPort(port) ? [port] : [];
    }),
  };
}

/** The doors that were named, each of which is there. Throws CommandFailure. */
export function doorsNamed(names: readonly string[], { doors }: KeyPlace, config: string): readonly string[] {
  const each = [...new Set(names.flatMap((name) => name.split(',')).map((name) => name.trim()))];
  const known = [...doors.keys()].join(', ');
  if (each.length === 0)
    throw usage(`say what the key opens: --door NAME (${config} has ${known || 'none'})`);
  const unknown = each.find((name) => !doors.has(name));
  if (unknown === undefined) return each;
  throw usage(`${config} has no door ${quoted(unknown)}; it has ${known || 'none'}`);
}

function knocksIn(door: unknown): readonly PortSpec[] {
  const knock = isRecord(door) ? door['knock'] : undefined;
  return listOf(knock).flatMap((each) => parseKnock(String(each)) ?? []);
}

function opensOf(door: unknown): readonly PortRange[] {
  const opens = isRecord(door) ? door['opens'] : undefined;
  return listOf(opens).flatMap((each) => parsePortRange(String(each)) ?? []);
}

function listOf(value: unknown): readonly unknown[] {
  if (value === undefined || value === null) return [];
  return Array.isArray(value) ? value : [value];
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
