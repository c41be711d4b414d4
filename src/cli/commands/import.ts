import { dirname } from 'node:path';
import { formatFault } from '../../config/fault.ts';
import { formatNotice, type Imported, type Notice } from '../../config/import-notice.ts';
import { readText } from '../../config/load.ts';
import { parseConfig } from '../../config/parse.ts';
import { installedUnit, SHIPPED_UNIT, wallOf } from '../../doctor/unit.ts';
import { importKnockd } from '../../importers/knockd.ts';
import { FOREIGN_BYTES_MAX } from '../../importers/knockd-file.ts';
import { otherProgram } from '../../importers/other-programs.ts';
import { importPortsentry, isPortsentry } from '../../importers/portsentry.ts';
import { type Command, type CommonOptions, EXIT } from '../exit.ts';

/** `nfknock import FILE`: our YAML on standard output, what has no equal on standard error. */
export const command: Command<CommonOptions> = async ([file = ''], { json = false }) => {
  const text = readText(file, 'argument');
  const imported =
    typeof text !== 'string'
      ? text
      : isPortsentry(text)
        ? importPortsentry(text, file, ignored)
        : knockd(text, file);
  if (json) process.stdout.write(`${JSON.stringify(imported, null, 2)}\n`);
  if (!imported.ok) {
    for (const fault of imported.faults) process.stderr.write(`${formatFault(fault)}\n`);
    return EXIT.config;
  }
  if (!json) process.stdout.write(imported.yaml);
  for (const warning of [...imported.warnings, ...ofUnit(imported.yaml, file)])
    process.stderr.write(`${formatNotice(warning)}\n`);
  return EXIT.done;
};

/** One-time files that the unit, as it is installed or else as it is shipped, can't write: their doors would stay shut. */
function ofUnit(yaml: string, file: string): readonly Notice[] {
  const parsed = parseConfig(yaml, file);
  if (!parsed.ok) return [];
  const unit = installedUnit() ?? SHIPPED_UNIT;
  return parsed.config.doors.flatMap(({ name, knock }) => {
    const path = 'oneTime' in knock ? knock.oneTime : undefined;
    const why = path === undefined ? undefined : wallOf(unit, path, 'write');
    if (path === undefined || why === undefined) return [];
    const folder = dirname(path);
    const text = `${path} can't be marked used by the daemon (${why}), so the door would stay shut: move it to /var/lib/nfknock/, or add ReadWritePaths=${folder} by "systemctl edit nfknock" and let nfknock write it`;
    return [{ file, line: 1, key: `doors.${name}.one_time`, text }];
  });
}

function knockd(text: string, file: string): Imported {
  const other = otherProgram(text, file);
  return other === undefined ? importKnockd(text, file) : { ok: false, faults: [other] };
}

/** The file of hosts that portsentry ignores, if it is there and of a sane size. */
function ignored(path: string): string | null {
  const text = readText(path);
  return typeof text === 'string' && text.length <= FOREIGN_BYTES_MAX ? text : null;
}
