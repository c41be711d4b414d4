import { accessSync, constants, existsSync } from 'node:fs';
import { systemClock } from '../../clock.ts';
import { type Fault, formatFault } from '../../config/fault.ts';
import { loadConfig } from '../../config/load.ts';
import { fleetFileFaults } from '../../config/load-fleet.ts';
import { loadKeys } from '../../config/load-keys.ts';
import { settingsOf } from '../../config/settings.ts';
import { ofFiles } from '../../doctor/files.ts';
import { installedUnit } from '../../doctor/unit.ts';
import type { DoorSettings } from '../../engine/settings.ts';
import { lookAtMachine, type Machine } from '../../machine/look.ts';
import { observationsOf, shownIn } from '../../machine/observations.ts';
import { readsKeys } from '../../policy/codes.ts';
import type { Config, Door } from '../../policy/config.ts';
import { isPublished } from '../../policy/published.ts';
import type { Key } from '../../spa/key.ts';
import { orderedTime, ordersOpened } from '../../strength/guesser.ts';
import { guessing } from '../../strength/guessing.ts';
import { runScans, SCAN_KINDS } from '../../strength/scans.ts';
import { type OneTimeFacts, type Warning, warning } from '../../strength/warning.ts';
import { warnings } from '../../strength/warnings.ts';
import { isWeak, ofKeys } from '../../strength/weak-keys.ts';
import { CONFIG_FILE, type CommonOptions, EXIT, type ExitCode } from '../exit.ts';
import type { DoorReport, Report } from '../output/check-report.ts';

/** `init` can't know it: whether clients know their own address, as those behind NAT don't. */
const LEFT_TO_THE_OWNER: ReadonlySet<string> = new Set(['address-optional']);

interface CheckOptions extends CommonOptions {
  readonly strict?: boolean;
  /** Only the verdict and the warnings: nothing that is secret. */
  readonly brief?: boolean;
}

/** `nfknock check`: every fault of the file at once, or how strong each door is and what would make it stronger. */
export const command = async (
  [named]: readonly string[],
  { config, json = false, strict = false, brief = false }: CheckOptions,
  look: () => Promise<Machine> = () => lookAtMachine(),
): Promise<ExitCode> => {
  const file = named ?? config;
  if (config !== file && config !== CONFIG_FILE) {
    process.stderr.write(`nfknock: two files are named, ${file} and ${config}; name one\n`);
    return EXIT.usage;
  }
  const loaded = loadConfig(file);
  if (!loaded.ok) return refuse(loaded.faults, json);
  const keys = keysOf(loaded.config);
  if (!keys.ok) return refuse(keys.faults, json);
  const { faults, unread } = fleetFileOf(loaded.config);
  if (faults.length > 0) return refuse(faults, json);
  const found = { ...keys, warnings: [...keys.warnings, ...unread] };
  const report = await reportOf(loaded.config, file, { machine: await look(), found });
  const { formatReport, formatWarning, jsonReport } = await import('../output/check-report.ts');
  const text = json ? `${JSON.stringify(jsonReport(report), null, 2)}\n` : formatReport(report);
  print(brief ? `${text.split('\n')[0]}\n` : text);
  for (const warning of report.warnings.filter(({ code }) => !(brief && LEFT_TO_THE_OWNER.has(code))))
    process.stderr.write(`${formatWarning(warning, file)}\n`);
  return strict && report.warnings.length > 0 ? EXIT.failed : EXIT.done;
};

function refuse(faults: readonly Fault[], json: boolean): ExitCode {
  if (json) print(`${JSON.stringify({ ok: false, faults }, null, 2)}\n`);
  for (const fault of faults) process.stderr.write(`${formatFault(fault)}\n`);
  return EXIT.config;
}

function print(text: string): void {
  process.stdout.write(text);
}

type FoundKeys =
  | {
      readonly ok: true;
      /** Null: who runs this can't see them, which is as it should be. */
      readonly keys: readonly Key[] | null;
      readonly warnings: readonly Warning[];
    }
  | Extract<ReturnType<typeof loadKeys>, { ok: false }>;

function keysOf(config: Config): FoundKeys {
  const path = config.keys;
  if (readsKeys(config) && existsSync(path) && !mayRead(path)) {
    const text = `this user may not read ${path}, so nothing is said of keys`;
    return { ok: true, keys: null, warnings: [warning('keys-unread', 'keys', text, 'run this as root')] };
  }
  const loaded = loadKeys(config);
  if (loaded.ok) {
    const { keys } = loaded.file;
    const found = loaded.warnings.map(({ code, at, text, fix }) => warning(code, at, text, fix));
    return { ok: true, keys, warnings: [...found, ...ofKeys(config, keys, systemClock.wall())] };
  }
  if (existsSync(path)) return loaded;
  // A file that is not there, or not to be seen from here: the daemon would refuse to start without it.
  const missing = loaded.faults.map(({ problem, fix }) =>
    warning('keys-missing', 'keys', `${path}: ${problem}`, fix),
  );
  return { ok: true, keys: null, warnings: missing };
}

/** What is wrong with the files that a fleet's member needs. */
function fleetFileOf({ fleet }: Config): {
  readonly faults: readonly Fault[];
  readonly unread: readonly Warning[];
} {
  if (fleet === null) return { faults: [], unread: [] };
  const path = fleet.password;
  if (existsSync(path) && !mayRead(path)) {
    const text = `this user may not read ${path}, so nothing is said of it`;
    return { faults: [], unread: [warning('fleet-unread', 'fleet.password', text, 'run this as root')] };
  }
  return { faults: fleetFileFaults(fleet), unread: [] };
}

function mayRead(path: string): boolean {
  try {
    accessSync(path, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}

interface Surroundings {
  readonly machine: Machine;
  readonly found: Extract<FoundKeys, { ok: true }>;
}

async function reportOf(
  config: Config,
  file: string,
  { machine, found: { keys, warnings: keyWarnings } }: Surroundings,
): Promise<Report> {
  const oneTime = await oneTimeFacts(config);
  const next = (name: string): OneTimeFacts['next'] => oneTime.get(name)?.next ?? [];
  const areShown = shownIn(config, machine.inputDefaults).length > 0;
  const settings = settingsOf(config, ({ name }) => next(name));
  const scans = runScans(settings);
  const doors: DoorReport[] = config.doors.map((door, index) => {
    const judged = settings.doors[index];
    const knock = 'oneTime' in door.knock ? next(door.name) : door.knock;
    const shown = areShown ? { alone: (judged && orderedTime(settings, judged)) ?? null } : null;
    const weak = keys?.find((key) => key.doors.includes(door.name) && isWeak(key));
    return {
      door,
      weakKey: weak?.name ?? null,
      knock,
      left: oneTime.get(door.name)?.left ?? null,
      guessing: guessing(door, config, knock.length, shown) ?? null,
      scans: scans.get(door.name) ?? null,
      orders: (judged && ordersOpened(settings, asShared(judged, config))) ?? null,
    };
  });
  const found = warnings(config, oneTime);
  const here = observationsOf(config, machine, ({ name }) => next(name));
  return {
    file,
    config,
    doors,
    keys,
    inputDefaults: machine.inputDefaults,
    warnings: [
      ...found,
      ...keyWarnings,
      ...config.doors.flatMap(ofPublished),
      ...doors.flatMap((each) => ofScans(each, found)),
      ...ofUnit(config),
      ...here.map(({ code, key, what, fix }) => ({ code, key, text: what, fix: fix })),
    ],
  };
}

/** A sequence that stands in a manual, a README or an example, ours among them. */
function ofPublished({ name, knock }: Door): readonly Warning[] {
  if ('oneTime' in knock || !isPublished(knock)) return [];
  const text = 'the sequence is a published example, and guessers try those first';
  const fix = 'draw another, with ports of both protocols in no order';
  return [warning('published-secret', `doors.${name}.knock`, text, fix)];
}

/** Files that the daemon's user can't read, write or run, where the unit that says who that is is installed. */
function ofUnit(config: Config): readonly Warning[] {
  const unit = installedUnit();
  if (unit === undefined) return [];
  return ofFiles(config, unit).map(({ code, problem, fix }) => {
    const [key = '', ...text] = problem.split(': ');
    return text.length === 0
      ? { code, key: 'state', text: problem, fix: fix }
      : { code, key, text: text.join(': '), fix: fix };
  });
}

/** A scan that opened a door although nothing else was said against its sequence. */
function ofScans({ door, scans }: DoorReport, found: readonly Warning[]): Warning[] {
  const key = `doors.${door.name}.${'oneTime' in door.knock ? 'one_time' : 'knock'}`;
  if (scans === null || found.some((each) => each.key === key && /^(ports-|one-knock)/.test(each.code)))
    return [];
  const names = {
    up: 'a linear scan upwards',
    down: 'a linear scan downwards',
    nmap: "nmap's default order",
  };
  return SCAN_KINDS.flatMap((kind) =>
    kind === 'random' || scans[kind].opened === 0
      ? []
      : [
          {
            code: `scan-${kind}`,
            key,
            text: `${names[kind]} opened the door in ${scans[kind].opened} of ${scans[kind].scans} scans`,
            fix: 'mix the order and the protocols of the knocks, or write "decoys: all"',
          },
        ],
  );
}

/** What the files of one-time doors hold now. */
async function oneTimeFacts(config: Config): Promise<Map<string, OneTimeFacts>> {
  const { readOneTime } = await import('../../one-time/file.ts');
  const facts = new Map<string, OneTimeFacts>();
  for (const { name, knock } of config.doors) {
    if (!('oneTime' in knock)) continue;
    try {
      const { next, left, faults } = readOneTime(knock.oneTime);
      facts.set(name, { next, left, broken: faults, unreadable: null });
    } catch (error) {
      const why = (error as NodeJS.ErrnoException).code ?? (error as Error).message;
      facts.set(name, { next: [], left: 0, broken: [], unreadable: why });
    }
  }
  return facts;
}

/** Who knocks at several members that tell each other gains no more by it than one more wrong packet that is let pass. */
function asShared(door: DoorSettings, { fleet }: Config): DoorSettings {
  const isShared = fleet?.share.includes('knocks') === true;
  return isShared ? { ...door, tolerate: door.tolerate + 1 } : door;
}
