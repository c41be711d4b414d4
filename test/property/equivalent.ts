/** Mutants that nobody outside can tell from the engine as it is: by file, the line before and after. */
interface Equivalent {
  readonly why: string;
  readonly mutants: Readonly<Record<string, readonly string[]>>;
}

export const EQUIVALENT: readonly Equivalent[] = [
  {
    why: 'either half of a hash, or the hash of something else that is as much its own, scatters as well',
    mutants: {
      'src/engine/subject.js': [
        'return output[0] ?? 0;  →  return output[1] ?? 0;',
        'subject.offenderHash = family === 4 ? subject.hostHash : hash(family, a, b, 0, 0);  →  subject.offenderHash = family === 4 ? subject.hostHash : hash(family, a, b, 1, 0);',
        'subject.offenderHash = family === 4 ? subject.hostHash : hash(family, a, b, 0, 0);  →  subject.offenderHash = family === 4 ? subject.hostHash : hash(family, a, b, 0, 1);',
      ],
    },
  },
  {
    why: 'it costs time or memory, and changes nothing that is answered',
    mutants: {
      'src/engine/table.js': [
        'const mask = powerOfTwo(capacity * 2) - 1;  →  const mask = powerOfTwo(capacity * 3) - 1;',
        'const mask = powerOfTwo(capacity * 2) - 1;  →  const mask = powerOfTwo(capacity + 2) - 1;',
      ],
      'src/engine/subject.js': ['if (packet.family === 4) {  →  if (false) {'],
    },
  },
  {
    why: 'what is no concern is passed over once more, later',
    mutants: {
      'src/engine/finding.js': ["if (finding !== 'none')  →  if (true)", 'none: 0,  →  none: 1,'],
    },
  },
  {
    why: 'the place is 0, which may be added or taken away',
    mutants: {
      'src/engine/strike.js': ['floats[at + RATE_BEGUN] = now;  →  floats[at - RATE_BEGUN] = now;'],
    },
  },
  {
    why: 'what is read too much is not used',
    mutants: {
      'src/packet/address.js': [
        'const [w = 0, x = 0, y = 0, z = 0] = bytes.slice(at, at + 4);  →  const [w = 0, x = 0, y = 0, z = 0] = bytes.slice(at, at + 5);',
      ],
    },
  },
  {
    why: 'no slot lies outside of the arrays: what is written there is nowhere',
    mutants: { 'src/engine/door.js': ['if (slot === NONE)  →  if (false)'] },
  },
];
