/** The longest name of a door: it stands in chain names (28 characters) and in set names (31). */
export const DOOR_NAME_MAX = 24;
/** One word of a rule, a set's name, a command line and a shell, whatever reads it: nothing in it means anything. */
const DOOR_NAME = /^[a-z0-9_][a-z0-9_-]*$/;

/**
 * Whether a text can be a door's name. Asked wherever one comes in: the configuration, requests and answers of the
 * control socket, the state file, the command line.
 */
export function isDoorName(text: string): boolean {
  return text.length <= DOOR_NAME_MAX && DOOR_NAME.test(text);
}
