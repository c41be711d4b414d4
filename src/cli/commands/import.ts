import { rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { formatFault } from '../../config/fault.ts';
import { type ForeignKey, formatNotice, type Imported, type Notice } from '../../config/import-notice.ts';
import { readText } from '../../config/load.ts';
import { parseConfig } from '../../config/parse.ts';
import { installedUnit, SHIPPED_UNIT, wallOf } from '../../doctor/unit.ts';
import { importGuestlist, isGuestlist } from '../../importers/doorman.ts';
import { type Beside, importFwknop, importFwknopd } from '../../importers/fwknop.ts';
import { isAccessConf, isFwknopdConf } from '../../importers/fwknop-file.ts';
import { importKnockd } from '../../importers/knockd.ts';
import { FOREIGN_BYTES_MAX } from '../../importers/knockd-file.ts';
import { otherProgram } from '../../importers/other-programs.ts';
import { importPortsentry, isPortsentry } from '../../importers/portsentry.ts';
import { yamlText } from '../../importers/write-yaml.ts';
import { fail } from '../ask-daemon.ts';
import { type Command, type CommonOptions, EXIT } from '../exit.ts';
import { CommandFailure } from '../failure.ts';
import { writeNew } from '../new-file.ts';

interface ImportOptions extends CommonOptions {
  /** Where the keys go. */
  readonly keys?: string;
  /** Where the configuration goes; left out: standard output. */
  readonly out?: string;
}

/** `nfknock import FILE`: our YAML on standard output, what has no equal on standard error. */
export const command: Command<ImportOptions> = async ([file = ''], { json = false, keys, out }) => {
  const text = readText(file, 'argument');
  const imported = typeof text === 'string' ? translated(text, file) : text;
  if (json) {
    // Nothing secret, whatever is printed.
    const { keys: left, ...rest } = { keys: undefined, ...imported };
    const named = left?.map(({ name, line }) => ({ name, line }));
    process.stdout.write(
      `${JSON.stringify(named === undefined ? rest : { ...rest, keys: named }, null, 2)}\n`,
    );
  }
  if (!imported.ok) {
    for (const fault of imported.faults) process.stderr.write(`${formatFault(fault)}\n`);
    return EXIT.config;
  }
  const yaml = keys === undefined ? imported.yaml : `${imported.yaml}keys: ${yamlText(resolve(keys))}\n`;
  try {
    if (out !== undefined) writeNew(out, yaml, 0o640);
    try {
      await keepKeys(imported.keys ?? [], keys, file);
    } catch (error) {
      if (out !== undefined) rmSync(out, { force: true });
      throw error;
    }
  } catch (error) {
    return fail(error);
  }
  if (!json && out === undefined) process.stdout.write(yaml);
  for (const warning of [...imported.warnings, ...ofUnit(imported.yaml, file)])
    process.stderr.write(`${formatNotice(warning)}\n`);
  return EXIT.done;
};

/** Puts the keys of a translated file into the key file; without one they are left where they are. */
async function keepKeys(keys: readonly ForeignKey[], path: string | undefined, file: string): Promise<void> {
  if (keys.length === 0) return;
  const names = keys.map(({ name }) => name).join(', ');
  if (path === undefined) {
    process.stderr.write(`${file}: its keys (${names}) were not taken: add --keys /etc/nfknock/keys.yaml\n`);
    return;
  }
  const { editKeys } = await import('../keys/edit-key-file.ts');
  const { withKey } = await import('../../config/key-file-edit.ts');
  await editKeys(path, async (held) => {
    const twice = keys.find(({ name }) => held.file.keys.some((key) => key.name === name));
    if (twice !== undefined)
      throw new CommandFailure(
        EXIT.failed,
        `${path} has a key ${twice.name} already: name another file with --keys`,
      );
    const text = keys.reduce<string | undefined>(
      (before, { name, entry }) => before && withKey(before, name, entry),
      held.text,
    );
    if (text === undefined)
      throw new CommandFailure(EXIT.failed, `${path} can't be edited: name another with --keys`);
    return { text };
  });
  process.stderr.write(`${file}: its keys (${names}) are in ${path}, which nobody else may read\n`);
}

function translated(text: string, file: string): Imported {
  if (isPortsentry(text)) return importPortsentry(text, file, ignored);
  if (isAccessConf(text)) return importFwknop(text, file, besides(join(dirname(file), 'fwknopd.conf')));
  if (isFwknopdConf(text)) return importFwknopd(text, file, besides(join(dirname(file), 'access.conf')));
  const other = otherProgram(text, file);
  if (other === undefined && isGuestlist(text)) return importGuestlist(text, file);
  return other === undefined ? importKnockd(text, file) : { ok: false, faults: [other] };
}

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

/** A file that belongs to the one that was named, if it is there and of a sane size. */
function besides(file: string): Beside | null {
  const text = ignored(file);
  return text === null ? null : { file, text };
}

/** The file of hosts that portsentry ignores, if it is there and of a sane size. */
function ignored(path: string): string | null {
  const text = readText(path);
  return typeof text === 'string' && text.length <= FOREIGN_BYTES_MAX ? text : null;
}
