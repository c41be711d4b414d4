/** Names of members that are told apart; what more of them said is kept as this machine's own. */
const MEMBERS_MAX = 4095;

/** Members of the fleet whose bans are kept, each by a small number: a ban has room for no more. */
export interface Members {
  /** The member's number, from 1; 0 where there are too many. */
  placeOf(name: string): number;
  nameOf(place: number): string | undefined;
  /** All names, in the order of their numbers. */
  names(): readonly string[];
}

export function createMembers(): Members {
  const names: string[] = [];
  const places = new Map<string, number>();
  return {
    placeOf(name) {
      const known = places.get(name);
      if (known !== undefined) return known;
      if (names.length >= MEMBERS_MAX) return 0;
      places.set(name, names.push(name));
      return names.length;
    },
    nameOf: (place) => names[place - 1],
    names: () => names,
  };
}
