/**
 * Mutants that nobody outside can tell from the engine as it is: by file, the line before and after, or the line alone
 * where no change of it can be told.
 */
interface Equivalent {
  readonly why: string;
  readonly mutants: Readonly<Record<string, readonly string[]>>;
}

export const EQUIVALENT: readonly Equivalent[] = [
  {
    why: 'what is read ahead only warms the cache',
    mutants: {
      'src/engine/retransmission.js': [
        'return (prints[4 * begin + 2] ?? 0) ^ (prints[4 * (begin + 4) + 2] ?? 0);',
      ],
      'src/engine/table.js': ['const other = (cells[nextOut() * CELL_WORDS + HASH] ?? 0) & mask;'],
      'src/engine/engine.js': [
        'retransmissions.touch(subjects.output[0] ?? 0);  →  retransmissions.touch(subjects.output[1] ?? 0);',
      ],
    },
  },
  {
    why: 'only the order of the numbers counts, or whether one is negative',
    mutants: {
      'src/engine/engine.js': ['state.turn += 1;  →  state.turn += 2;'],
      'src/engine/state.js': [
        'const offender = count === 0 ? -1 : state.offenders.find(subject);  →  const offender = count === 0 ? -2 : state.offenders.find(subject);',
      ],
      'src/engine/attempt.js': [
        'for (; at > 0 && table.extra(slots[at - 1] ?? 0) > table.extra(slot); at -= 1)  →  for (; at > 0 && table.extra(slots[at - 1] ?? 0) >= table.extra(slot); at -= 1)',
      ],
    },
  },
  {
    why: 'it guards against what no caller does',
    mutants: {
      'src/engine/grant.js': ['if (slot === undefined)  →  if (false)'],
      'src/engine/offence.js': ['state.held = 0;  →  nothing'],
    },
  },
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
        'if (slot === NONE || buckets[bucket + 1] === hash)  →  if (true)',
        'if (slot === NONE || buckets[bucket + 1] === hash)  →  if (slot !== NONE || buckets[bucket + 1] === hash)',
        'lead(bucket, head);  →  nothing',
        'return (head & MORE) === 0 ? NONE : (cells[slot * CELL_WORDS + CHAIN] ?? NONE);  →  return (head | MORE) === 0 ? NONE : (cells[slot * CELL_WORDS + CHAIN] ?? NONE);',
      ],
      'src/engine/subject.js': [
        'if (packet.family === 4) {  →  if (false) {',
        'if (packet.family === 4) {  →  if (packet.family === 5) {',
        'hasher.run(11);  →  hasher.run(12);',
      ],
      'src/engine/strike.js': [
        'const BANNED_LEVEL = 32;  →  const BANNED_LEVEL = 33;',
        'const table = createTable(capacity, BANNED_LEVEL + 1);  →  const table = createTable(capacity, BANNED_LEVEL + 2);',
      ],
      'src/engine/deadlines.js': ['turn += 1;  →  turn += 2;'],
      'src/engine/grant.js': [
        'if (isNetwork(grant.grantee))  →  if (true)',
        'const left = (words.get(host.a) ?? 0) - 1;  →  const left = (words.get(host.a) ?? 0) + 1;',
        'if (left <= 0)  →  if (left < 0)',
      ],
      'src/engine/attempt.js': [
        'if (table.size() === table.capacity)  →  if (true)',
        'if (step(slot) === 0) {  →  if (false) {',
      ],
    },
  },
  {
    why: 'what is no candidate is passed over once more, later',
    mutants: {
      'src/engine/describe.js': [
        "if (explanation !== 'none')  →  if (true)",
        'none: 0,  →  none: 1,',
        'repeated = true;  →  repeated = false;',
        "if (explanation === 'repeat')  →  if (false)",
      ],
    },
  },
  {
    why: 'the two are only ever asked about together',
    mutants: { 'src/engine/describe.js': ['begins: 1,  →  begins: 2,', 'advances: 2,  →  advances: 1,'] },
  },
  {
    why: 'what it lets in is refused by the limit that follows',
    mutants: {
      'src/packet/cidr.js': [
        'if (!/^(0|[1-9]\\d{0,2})$/.test(length) || Number(length) > HOST_BITS[address.family])  →  if (!/^(0|[1-9]\\d{0,3})$/.test(length) || Number(length) > HOST_BITS[address.family])',
      ],
    },
  },
  {
    why: 'of those that are equally old another goes',
    mutants: { 'src/engine/retransmission.js': ['if (time < oldest) {  →  if (time <= oldest) {'] },
  },
  {
    why: 'it stands in for a byte that is always there',
    mutants: {
      'src/packet/address.js': ['w', 'x', 'y', 'z'].map((name) => {
        const line = 'const [w = 0, x = 0, y = 0, z = 0] = bytes.slice(at, at + 4);';
        return `${line}  →  ${line.replace(`${name} = 0`, `${name} = 1`)}`;
      }),
    },
  },
  {
    why: 'the place is 0, which may be added or taken away',
    mutants: {
      'src/engine/strike.js': [
        'floats[at + RATE_BEGUN] = now;  →  floats[at - RATE_BEGUN] = now;',
        'floats[at + RATE_BEGUN] = Number.NEGATIVE_INFINITY;  →  floats[at - RATE_BEGUN] = Number.NEGATIVE_INFINITY;',
      ],
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
    mutants: {
      'src/engine/door.js': ['if (slot === NONE)  →  if (false)'],
      'src/engine/describe.js': ['if (slot === NONE)  →  if (false)'],
      'src/engine/table.js': ['if (slot !== NONE)  →  if (true)'],
    },
  },
  {
    why: 'it has that value before, or is given another before it is read',
    mutants: {
      'src/engine/engine.js': [
        'const current = { key: 0, flags: 0, now: 0, role: 0, tcp: false, stamped: true, observed: false };  →  const current = { key: 0, flags: 0, now: 1, role: 0, tcp: false, stamped: true, observed: false };',
        'now: 0,  →  now: 1,',
        'key: 0,  →  key: 1,',
        'flags: 0,  →  flags: 1,',
        'role: 0,  →  role: 1,',
        'touched: 0,  →  touched: 1,',
        'tcp: false,  →  tcp: true,',
        'stamped: true,  →  stamped: false,',
        'observed: false,  →  observed: true,',
      ],
      'src/engine/subject.js': [
        'subject.offenderC = 0;  →  nothing',
        'subject.offenderD = 0;  →  nothing',
        'offenderC: 0,  →  offenderC: 1,',
        'offenderD: 0,  →  offenderD: 1,',
      ],
    },
  },
  {
    why: 'one more or less of what is remembered, or a name that nobody asks for',
    mutants: {
      'src/spa/prove-v1.js': ['if (known.size <= PROVEN_MAX)  →  if (known.size < PROVEN_MAX)'],
      'src/spa/candidates.js': ['if (rotation !== undefined)  →  if (true)'],
    },
  },
  {
    why: 'more room is made, or taken out, than there is something to stand in',
    mutants: {
      'src/spa/wrong-codes.js': [
        'while (levels.length < recent.length)  →  while (levels.length <= recent.length)',
      ],
      'src/spa/v1.js': ['const PROOF_BYTES = 64;  →  const PROOF_BYTES = 65;'],
      'src/spa/sshsig.js': [
        "const [inner, publicKey, ...rest] = stringsOf(decodeBase64(base64.replace(/={1,2}$/, '')) ?? Buffer.alloc(0)) ?? [];  →  const [inner, publicKey, ...rest] = stringsOf(decodeBase64(base64.replace(/={1,2}$/, '')) ?? Buffer.alloc(1)) ?? [];",
      ],
    },
  },
];
