/** Why an authenticated packet opens nothing: what each reason means. */
export const REFUSAL_WORDS = {
  stale: 'it is older, or newer, than `listen.clock_skew` permits, or than what is known of its key',
  replayed: 'it was used already',
  expired: 'its key has expired',
  door: 'its key may not open the door that it names',
  ports: 'its key opens no door with the ports that it names',
  address: "it names no address, and its key must; or one that is nobody's",
  from: "it came from a network, or to an address, that its key's `from` or `to` does not have",
  limit: 'its key has opened as often as `rate` or `uses` permits',
  command: 'it asks for a command to be run, which nothing does here',
  nat: 'it asks for a translation that no door of its key makes',
  user: "it names another user than its key's `user`",
  full: 'no more grants fit, or no more used packets of its key',
  unavailable: 'who must be asked whether it was used did not answer',
  banned: 'the address was banned by hand or by a list, which no key lifts',
} as const;

/** The reason in words; as it is, where a later version made it. */
export function refusalWords(reason: string): string {
  return Object.hasOwn(REFUSAL_WORDS, reason) ? REFUSAL_WORDS[reason as keyof typeof REFUSAL_WORDS] : reason;
}
