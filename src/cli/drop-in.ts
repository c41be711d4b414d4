import { existsSync, mkdirSync, rmdirSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { dropInText, foreignLines } from '../doctor/drop-in.ts';
import { DROP_IN, installedWalls } from '../doctor/unit.ts';
import { findNames, lostNames, neededLines } from '../doctor/walls.ts';
import { replaceFileSync } from '../files/write.ts';
import type { Config } from '../policy/config.ts';
import { reloadUnits } from '../rollback/systemd.ts';
import { printable } from '../text/plain.ts';
import { EXIT, type ExitCode } from './exit.ts';
import { namedServers } from './fleet/servers.ts';

/** Writes the drop-in by which the daemon's unit lets through what the configuration talks to, and nothing else. */
export async function writeDropIn(config: Config): Promise<ExitCode> {
  const walls = installedWalls();
  if (walls === undefined)
    return refused('there is no nfknock.service on this machine, so that no unit keeps an address from it');
  const foreign = foreignLines(walls.own);
  if (foreign.length > 0)
    return refused(
      `${DROP_IN} has what nfknock did not write, and would lose it (${foreign.join(', ')}): move that to another file there`,
    );
  const named = await namedServers(config);
  if (named.silence !== null)
    return refused(
      `no Sentinel says which servers are to be let through (${named.silence}): nothing was written; start one and try again, or let them through by hand: systemctl edit nfknock`,
    );
  const names = await findNames(config, named);
  const lost = lostNames(config, names);
  if (lost.length > 0)
    return refused(
      `${lost.join(', ')} has no address now: nothing was written; write an address, or try again`,
    );
  const lines = neededLines(config, walls.bare, names);
  const text = lines.length === 0 ? '' : dropInText(lines);
  const servers =
    named.hosts.length === 0
      ? []
      : [`The Sentinels name ${named.hosts.join(', ')}. When they name another, run this again.`];
  if (text === walls.own)
    return said(
      `${text === '' ? 'No drop-in is needed' : `${DROP_IN} is right`}: nothing was written.`,
      ...servers,
    );
  put(text);
  const { status, complaint } = await reloadUnits();
  if (status !== 0)
    return refused(`${DROP_IN} is written, and systemctl daemon-reload failed: ${complaint.trim()}`);
  return said(
    text === ''
      ? `${DROP_IN} is taken away: nothing in the configuration needs it.`
      : `${DROP_IN} is written: ${lines.join(', ')}.`,
    ...servers,
    'It counts from the next start of the daemon: systemctl restart nfknock',
  );
}

function put(text: string): void {
  const folder = dirname(DROP_IN);
  if (text !== '') {
    mkdirSync(folder, { recursive: true, mode: 0o755 });
    replaceFileSync(DROP_IN, Buffer.from(text), { mode: 0o644, uid: 0, gid: 0 });
    return;
  }
  if (existsSync(DROP_IN)) rmSync(DROP_IN);
  try {
    rmdirSync(folder);
  } catch {
    // Somebody else's drop-ins lie there.
  }
}

function said(...lines: readonly string[]): ExitCode {
  process.stdout.write(lines.map((line) => `${printable(line)}\n`).join(''));
  return EXIT.done;
}

function refused(text: string): ExitCode {
  process.stderr.write(`nfknock: ${printable(text)}\n`);
  return EXIT.failed;
}
