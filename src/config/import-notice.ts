import type { Fault } from './fault.ts';
import type { KeyEntry } from './key-file-edit.ts';

/** What a translated file says that nfknock does differently, or not at all. */
export interface Notice {
  readonly file: string;
  readonly line: number;
  /** The directive, with its section where it has one: `openSSH.Target`. */
  readonly key: string;
  readonly text: string;
}

/** A key of a translated file. */
export interface ForeignKey {
  readonly name: string;
  readonly entry: KeyEntry;
  /** Where it stood. */
  readonly line: number;
}

/** A foreign configuration in our YAML, or why it cannot be translated. */
export type Imported =
  | {
      readonly ok: true;
      readonly yaml: string;
      readonly warnings: readonly Notice[];
      /** What goes into the key file, and nowhere else. */
      readonly keys?: readonly ForeignKey[];
    }
  | { readonly ok: false; readonly faults: readonly Fault[] };

export function formatNotice({ file, line, key, text }: Notice): string {
  return `${file}:${line}: ${key}: ${text}`;
}
