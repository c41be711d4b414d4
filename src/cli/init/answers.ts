import type { Found } from './survey.ts';

/** How the door is knocked at. */
export type Method = 'key' | 'ssh' | 'sequence';

/** What `init` needs to know, by questions or by flags. */
export interface Answers {
  /** The door's name. */
  readonly door: string;
  /** What it opens: `22/tcp`. */
  readonly opens: readonly string[];
  /** What stays open to everyone. */
  readonly allow: readonly string[];
  readonly method: Method;
  /** With `ssh`: the file of the public half. */
  readonly sshKey: string | null;
  /** Networks that are never banned. */
  readonly never: readonly string[];
  /** What clients call this machine. */
  readonly host: string;
}

/** The method to recommend: a key's packet bears a time, so both clocks must be right. */
export function recommended({ clock }: Pick<Found, 'clock'>): Method {
  return clock === 'wrong' ? 'sequence' : 'key';
}

/** Of what listens here, what a door on these ports leaves to be asked about. */
export function othersOf(found: Pick<Found, 'services'>, opens: readonly string[]): Found['services'] {
  return found.services.filter(({ port }) => !opens.includes(port));
}
