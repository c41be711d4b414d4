import type { Fleet } from '../policy/fleet.ts';
import { type Fault, WHOLE_FILE } from './fault.ts';
import { readText } from './load.ts';
import { accessOf, unreadFix } from './secret-file.ts';

/** What a member proves itself with, and what digests on the bus are made with. */
export interface FleetSecrets {
  /** The password of the engine's user `fleet.name`. */
  readonly password: string;
  /** The same on all members: what is a one-time line can't be guessed by whoever reads the engine. */
  readonly groupSecret: string;
}

export type LoadedFleet =
  | { readonly ok: true; readonly secrets: FleetSecrets }
  | { readonly ok: false; readonly faults: readonly Fault[] };

/** Characters of a line: the engine's own limit is far above. */
const LINE_MAX = 512;
/** Shorter ones are guessed from what the bus shows. */
const GROUP_SECRET_MIN = 16;

/** What is wrong with the files that a member needs beside its configuration. */
export function fleetFileFaults(fleet: Fleet | null): readonly Fault[] {
  if (fleet === null) return [];
  const secrets = loadFleetSecrets(fleet);
  const ca = fleet.ca === null ? '' : readText(fleet.ca);
  const fix = "name the file with the certificates (PEM) that sign the engine's with fleet.ca";
  return [
    ...(secrets.ok ? [] : secrets.faults),
    ...(typeof ca === 'string' ? [] : ca.faults.map((fault) => ({ ...fault, fix }))),
  ];
}

/** Reads the password file. Nobody but the daemon's user, and root, may be able to read or change it. */
export function loadFleetSecrets({ password: path, name }: Pick<Fleet, 'password' | 'name'>): LoadedFleet {
  const refused = (problem: string, fix: string, line = 1): LoadedFleet => ({
    ok: false,
    faults: [{ file: path, line, column: 1, key: WHOLE_FILE, problem, fix }],
  });
  const access = accessOf(path);
  // A group that reads it could speak for this member.
  if (access !== undefined) return refused(access.problem, access.fix);
  const text = readText(path);
  if (typeof text !== 'string') {
    const [found] = text.faults;
    const own = {
      key: 'fleet.password',
      make: `nfknock fleet users ${name} --password-file ${path}`,
      holds: "the password, and the group's secret below it",
    };
    return refused(found?.problem ?? 'the file cannot be read', unreadFix(text, own));
  }
  const [password = '', groupSecret = '', ...rest] = text
    .replace(/^\ufeff/, '')
    .replace(/\r?\n$/, '')
    .split(/\r?\n/);
  if (password === '')
    return refused('the first line is empty', "write the password of this member's user there");
  if (groupSecret === '')
    return refused(
      "the second line is missing, which is the group's secret",
      'add the line that stands in the password files of the other members',
      2,
    );
  if (groupSecret.length < GROUP_SECRET_MIN)
    return refused(
      `the group's secret has fewer than ${GROUP_SECRET_MIN} characters`,
      'take a long random one, for example of: openssl rand -base64 24',
      2,
    );
  if (password.length > LINE_MAX || groupSecret.length > LINE_MAX)
    return refused(
      `a line is longer than ${LINE_MAX} characters`,
      'write a password, and the secret below it',
    );
  if (rest.some((line) => line.trim() !== ''))
    return refused('there are more than two lines', "keep the password, and the group's secret below it", 3);
  return { ok: true, secrets: { password, groupSecret } };
}
