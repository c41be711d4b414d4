import type { Fault } from './fault.ts';

/** What a translated file says that nfknock does differently, or not at all. */
export interface Notice {
  readonly file: string;
  readonly line: number;
  /** The directive, with its section where it has one: `openSSH.Target`. */
  readonly key: string;
  readonly text: string;
}

/** A foreign configuration in our YAML, or why it cannot be translated. */
export type Imported =
  | { readonly ok: true; readonly yaml: string; readonly warnings: readonly Notice[] }
  | { readonly ok: false; readonly faults: readonly Fault[] };

export function formatNotice({ file, line, key, text }: Notice): string {
  return `${file}:${line}: ${key}: ${text}`;
}
