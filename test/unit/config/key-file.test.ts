import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatFault } from '../../../src/config/fault.ts';
import { parseBytes } from '../../../src/config/key-credential.ts';
import { parseMoment } from '../../../src/config/key-entry.ts';
import { parseKeyFile } from '../../../src/config/key-file.ts';
import { withKey, withoutKey, withTop } from '../../../src/config/key-file-edit.ts';
import type { KeyFile } from '../../../src/spa/key.ts';
import { sshKeyBlob } from '../../../src/spa/sshsig.ts';

const secret = (fill: number, bytes = 32): string => `base64:${Buffer.alloc(bytes, fill).toString('base64')}`;
const SSH = `ssh-ed25519 ${sshKeyBlob(Buffer.alloc(32, 1)).toString('base64')} ada@laptop`;
const FILE = `# written by hand
realm: ${secret(7)}
keys:
  # the laptop
  ada-laptop: { person: Ada L., ssh: "${SSH}", doors: [ssh, mail] }      # nothing secret
  ada-phone:
    person: ada
    fwknop: { key: hunter two, hmac: ${secret(8, 64)}, digest: sha512, mode: ctr }
    doors: [ssh]
    address: required
    user: ada
    port: 62210
    for_max: 5m
    before: { fwknop: { key: the old one, hmac: the old hmac }, until: 2027-01-01T12:00:00Z }
  ben-code: { person: ben, totp: "base32:GEZD GNBV GY3T QOJQ gezd gnbv gy3t qojq", doors: [mail], expires: 2027-03-31 }
  ci: { secret: ${secret(9)}, doors: [ssh], from: [203.0.113.0/24], to: [192.0.2.1], uses: 1, holders: 2, rate: { knocks: 6, per: 1h } }
  raw: { ed25519: ${secret(2)}, doors: [ssh] }
  old: { doorman: { group: old, secret: geheim }, doors: [ssh] }
`;

function parse(text: string): KeyFile {
  const parsed = parseKeyFile(text, 'keys.yaml');
  if (!parsed.ok) throw new Error(parsed.faults.map(formatFault).join('\n'));
  return parsed.file;
}
function faults(text: string): string[] {
  const parsed = parseKeyFile(text, 'keys.yaml');
  return parsed.ok ? [] : parsed.faults.map(formatFault);
}
/** The faults of one key, without the file's name. */
function key(options: string, realm = `realm: ${secret(7)}\n`): string[] {
  return faults(`${realm}keys:\n  ada: { ${options} }\n`).map((fault) =>
    fault.replace(/^keys\.yaml:\d+:\d+: /, ''),
  );
}

describe('The key file', () => {
  it('holds the realm and the keys of people', () => {
    const { realms, keys } = parse(FILE);
    expect(realms).toEqual([{ bytes: Buffer.alloc(32, 7), until: null }]);
    expect(keys.map(({ name, person, doors }) => `${name} of ${person} to ${doors.join(' ')}`)).toEqual([
      'ada-laptop of Ada L. to ssh mail',
      'ada-phone of ada to ssh',
      'ben-code of ben to mail',
      'ci of null to ssh',
      'raw of null to ssh',
      'old of null to ssh',
    ]);
    expect(keys.map(({ credential }) => credential)).toEqual([
      { kind: 'ssh', publicKey: Buffer.alloc(32, 1) },
      {
        kind: 'fwknop',
        key: Buffer.from('hunter two'),
        hmac: Buffer.alloc(64, 8),
        digest: 'sha512',
        mode: 'ctr',
      },
      { kind: 'totp', secret: Buffer.from('12345678901234567890') },
      { kind: 'secret', secret: Buffer.alloc(32, 9) },
      { kind: 'ed25519', publicKey: Buffer.alloc(32, 2) },
      { kind: 'doorman', group: 'old', secret: Buffer.from('geheim') },
    ]);
  });

  it('says what a key may do, and what it may where it says nothing', () => {
    const { keys } = parse(FILE);
    expect(keys[0]).toMatchObject({
      address: 'optional',
      from: [],
      to: [],
      user: null,
      port: null,
      expires: null,
      uses: null,
      holders: null,
      forMax: null,
      rate: { knocks: 30, per: 60_000 },
      previous: null,
    });
    expect(keys[1]).toMatchObject({
      address: 'required',
      user: 'ada',
      port: 62_210,
      forMax: 300_000,
      previous: { credential: { digest: 'sha256', mode: 'cbc' }, until: Date.parse('2027-01-01T12:00:00Z') },
    });
    expect(keys[2]).toMatchObject({ expires: Date.parse('2027-03-31T00:00:00Z') });
    expect(keys[3]).toMatchObject({ uses: 1, holders: 2, rate: { knocks: 6, per: 3_600_000 } });
    expect(keys[3]?.from.length).toBe(1);
    expect(keys[3]?.to.length).toBe(1);
  });

  it('may hold the realm that was replaced', () => {
    const { realms } = parse(
      `realm: ${secret(7)}\nold_realm: { realm: ${secret(6)}, until: 2027-01-08 }\nkeys: {}\n`,
    );
    expect(realms[1]).toEqual({ bytes: Buffer.alloc(32, 6), until: Date.parse('2027-01-08T00:00:00Z') });
  });

  it('needs no realm where no key does', () => {
    expect(parse('keys: { ada: { totp: base32:GEZDGNBVGY3TQOJQ, doors: [ssh] } }').realms).toEqual([]);
    expect(parse('keys:\n').keys).toEqual([]);
  });
});

describe('A fault of the key file', () => {
  it('names file, line, column and key, and comes with all the others in the order of the file', () => {
    const text = `realm: base64:AAAA\nkeys:\n  Ada: { secret: x, doors: [] }\n  ben: { ssh: "ssh-rsa AAAA" , doors: [ssh], usse: 1 }\n`;
    expect(faults(text)).toEqual([
      'keys.yaml:1:8: realm: this is not base64: or base32: and 32 bytes; expected base64: or base32: and 32 bytes, for example base64:AAAA…',
      'keys.yaml:3:3: keys.…: this is not the name of a key; write at most 32 of a-z, 0-9, _ and -, the first of them no -',
      'keys.yaml:3:18: keys.….secret: this is not base64: or base32: and 16 to 1024 bytes; expected base64: or base32: and 16 to 1024 bytes, for example base64:AAAA…',
      'keys.yaml:3:28: keys.….doors: this is not a list of doors by their names, at most 64; expected names of doors in brackets, for example [ssh]',
      "keys.yaml:4:15: keys.ben.ssh: a key of type ssh-rsa can't knock; make one that can: ssh-keygen -t ed25519",
      expect.stringContaining(
        'keys.yaml:4:46: keys.ben.…: this is not a known key; remove it; known here: ssh, ed25519, secret,',
      ),
    ]);
    expect(faults(text)[5]).toMatch(/did you mean "uses"\?$/);
  });

  it.each([
    [
      'doors: [ssh]',
      /^keys.ada: nothing says what it is proven by; write exactly one of ssh, ed25519, secret/,
    ],
    [
      `secret: ${secret(9)}, totp: base32:GEZDGNBVGY3TQOJQ, doors: [ssh]`,
      /secret and totp stand here at once/,
    ],
    [`secret: ${secret(9)}`, /^keys.ada: no doors are named/],
    [`secret: ${secret(9, 15)}, doors: [ssh]`, /^keys.ada.secret: this is not/],
    ['secret: a passphrase of some length, doors: [ssh]', /^keys.ada.secret: this is not/],
    ['totp: base32:GEZDGNBVGY3TQOJ1, doors: [ssh]', /^keys.ada.totp: this is not/],
    [
      'fwknop: { key: a }, doors: [ssh]',
      /^keys.ada.fwknop: the hmac is missing .*without it a used packet can be edited/,
    ],
    ['fwknop: { hmac: a }, doors: [ssh]', /^keys.ada.fwknop: the key is missing/],
    [`fwknop: { key: ${'k'.repeat(33)}, hmac: a }, doors: [ssh]`, /^keys.ada.fwknop.key: this is not/],
    [
      'fwknop: { key: a, hmac: b, mode: legacy }, doors: [ssh]',
      /^keys.ada.fwknop.mode: this is not .*legacy/,
    ],
    ['fwknop: { key: a, hmac: b, digest: sha224 }, doors: [ssh]', /^keys.ada.fwknop.digest: this is not/],
    ['fwknop: hunter2, doors: [ssh]', /^keys.ada.fwknop: this is not a mapping/],
    ['doorman: { group: a b, secret: s }, doors: [ssh]', /^keys.ada.doorman.group: this is not/],
    ['doorman: { secret: s }, doors: [ssh]', /^keys.ada.doorman: the group is missing/],
    ['ssh: hunter2, doors: [ssh]', /^keys.ada.ssh: this is not a public SSH key; expected a line of/],
    ['ssh: ssh-ed25519 AAAA, doors: [ssh]', /^keys.ada.ssh: this ssh-ed25519 key is not whole/],
    [
      `ed25519: ${secret(1, 31)}, doors: [ssh]`,
      /^keys.ada.ed25519: this is not base64: or base32: and 32 bytes/,
    ],
    [`secret: ${secret(9)}, doors: [SSH]`, /^keys.ada.doors\[0\]: this is not/],
    [`secret: ${secret(9)}, doors: [ssh], address: yes`, /^keys.ada.address: this is not/],
    [`secret: ${secret(9)}, doors: [ssh], from: 10.0.0.0/8`, /^keys.ada.from: this is not/],
    [`secret: ${secret(9)}, doors: [ssh], from: [10.0.0.1/8]`, /^keys.ada.from\[0\]: this is not/],
    [`secret: ${secret(9)}, doors: [ssh], port: 0`, /^keys.ada.port: this is not/],
    [`secret: ${secret(9)}, doors: [ssh], port: 53/tcp`, /^keys.ada.port: this is not/],
    [`secret: ${secret(9)}, doors: [ssh], expires: 2027-02-31`, /^keys.ada.expires: this is not a date/],
    [`secret: ${secret(9)}, doors: [ssh], uses: 0`, /^keys.ada.uses: this is not/],
    [`secret: ${secret(9)}, doors: [ssh], holders: 0`, /^keys.ada.holders: this is not/],
    [`secret: ${secret(9)}, doors: [ssh], for_max: 5`, /^keys.ada.for_max: this is not/],
    [`secret: ${secret(9)}, doors: [ssh], rate: { knocks: 0, per: 0 }`, /^keys.ada.rate.knocks: this is not/],
    [
      `secret: ${secret(9)}, doors: [ssh], rate: { knock: 1 }`,
      /^keys.ada.rate.…: this is not a known key; .*did you mean "knocks"/,
    ],
    [
      `secret: ${secret(9)}, doors: [ssh], user: ada`,
      /^keys.ada.user: a key of kind secret has no use for this; remove it/,
    ],
    [
      'totp: base32:GEZDGNBVGY3TQOJQ, doors: [ssh], port: 53',
      /^keys.ada.port: a key of kind totp has no use/,
    ],
    [
      'doorman: { group: a, secret: s }, doors: [ssh], address: required',
      /^keys.ada.address: a key of kind doorman/,
    ],
    [
      `secret: ${secret(9)}, doors: [ssh], person: "-x"`,
      /^keys.ada.person: this is not the name of a person/,
    ],
    [
      `secret: ${secret(9)}, doors: [ssh], before: { secret: ${secret(3)} }`,
      /^keys.ada.before: nothing says until when/,
    ],
    [
      `secret: ${secret(9)}, doors: [ssh], before: { until: 2027-01-01 }`,
      /^keys.ada.before: nothing says what/,
    ],
    [`secret: ${secret(9)}, secret: ${secret(3)}, doors: [ssh]`, /^keys.ada.secret: the key stands twice/],
  ])('%s', (options, fault) => {
    expect(key(options)[0]).toMatch(fault);
  });

  it('says that a realm is missing once', () => {
    const found = faults(
      `keys:\n  a: { secret: ${secret(1)}, doors: [ssh] }\n  b: { secret: ${secret(2)}, doors: [ssh] }\n`,
    );
    expect(found).toEqual([expect.stringContaining('keys.yaml:2:6: keys.a: this key needs a realm')]);
  });

  it('says that two keys have one secret', () => {
    const two = (one: string, other: string): string[] =>
      faults(`realm: ${secret(7)}\nkeys:\n  a: { ${one}, doors: [ssh] }\n  b: { ${other}, doors: [ssh] }\n`);
    const same = [expect.stringContaining('keys.b: this is the same secret or key as that of a')];
    expect(two(`secret: ${secret(1)}`, `secret: ${secret(1)}`)).toEqual(same);
    expect(two(`ssh: "${SSH}"`, `ed25519: ${secret(1)}`)).toEqual(same);
    expect(two('fwknop: { key: a, hmac: x }', 'fwknop: { key: b, hmac: x }')).toEqual(same);
    expect(two('fwknop: { key: a, hmac: x }', 'fwknop: { key: a, hmac: y }')).toEqual([]);
    expect(two(`totp: ${secret(1)}`, `totp: ${secret(1)}`)).toEqual(same);
    expect(two(`totp: ${secret(1)}`, `secret: ${secret(1)}`)).toEqual([]);
    expect(two('doorman: { group: g, secret: s }', 'doorman: { group: g, secret: s }')).toEqual(same);
    expect(two('doorman: { group: g, secret: s }', 'doorman: { group: h, secret: s }')).toEqual([]);
    expect(
      two(
        `secret: ${secret(2)}`,
        `secret: ${secret(3)}, before: { secret: ${secret(2)}, until: 2027-01-01 }`,
      ),
    ).toEqual(same);
  });

  it('says that the file is none, without a word of it', () => {
    for (const text of [
      'hunter2',
      '- hunter2',
      '[hunter2',
      '"hunter2',
      'keys: *hunter2',
      '!hunter2 keys: {}',
      'keys: hunter2',
      '? [hunter2]\n: 1',
      '\thunter2: 1',
      'hunter2: 1',
      'a: 1\n---\nhunter2: 1',
      '@hunter2',
      '%hunter2',
      'keys:\n  ada: {hunter2',
      'keys:\n  "hun\\hunter2": 1',
    ]) {
      const found = faults(text);
      expect(found.length, text).toBeGreaterThan(0);
      for (const fault of found) expect(fault, text).not.toContain('hunter2');
    }
  });

  it('never has a secret in it, wherever the file is broken', () => {
    const secrets = [
      'hunter two',
      'the old one',
      'the old hmac',
      'geheim',
      ...FILE.matchAll(/base64:(\S{12})/g),
    ].map((found) => (typeof found === 'string' ? found : (found[1] ?? '')));
    const edit = fc.record({
      at: fc.nat(FILE.length),
      gone: fc.nat(12),
      put: fc.constantFrom(
        '',
        ' ',
        ':',
        ': ',
        '\n',
        '\n  ',
        '"',
        "'",
        '{',
        '}',
        '[',
        ']',
        '*',
        '&',
        '!',
        '#',
        ',',
        '- ',
        '? ',
        '|',
        '\t',
      ),
    });
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), (edits) => {
        const text = edits.reduce(
          (so, { at, gone, put }) => so.slice(0, at) + put + so.slice(at + gone),
          FILE,
        );
        for (const fault of faults(text)) for (const one of secrets) expect(fault).not.toContain(one);
      }),
      { numRuns: 300 },
    );
  });
});

describe('Bytes of the key file', () => {
  it.each([
    ['base64:AAEC', '000102'],
    ['base64:AAE=', '0001'],
    ['base64:AAE', '0001'],
    ['base32:AAAQE', '000102'],
    ['base32:aaaq e===', '000102'],
    ['base64:AAF', undefined],
    ['base64:A', undefined],
    ['base64:', undefined],
    ['base64:AAEC====', undefined],
    ['base64:AA-_', undefined],
    ['base32:AAAQF', undefined],
    ['base32:A', undefined],
    ['base32:AAAQ0', undefined],
    ['AAEC', undefined],
  ])('%s', (text, hex) => {
    expect(parseBytes(text)?.toString('hex')).toBe(hex);
  });

  it('and dates are read whole', () => {
    expect(parseMoment('2028-02-29')).toBe(Date.UTC(2028, 1, 29));
    expect(parseMoment('2027-03-31T18:30:05Z')).toBe(Date.UTC(2027, 2, 31, 18, 30, 5));
    for (const text of [
      '2027-02-29',
      '2027-13-01',
      '2027-3-1',
      '2027-03-31 18:00:00',
      '2027-03-31T24:00:00Z',
      'tomorrow',
      '',
    ]) {
      expect(parseMoment(text), text).toBeUndefined();
    }
  });
});

describe('An edit of the key file', () => {
  const entry = { person: 'cyd', secret: secret(5), doors: ['ssh'], rate: { knocks: 3, per: '1m' } };

  it('adds a key and leaves all else, comments too', () => {
    const text = withKey(FILE, 'cyd', entry) ?? '';
    expect(parse(text).keys.slice(0, -1)).toEqual(parse(FILE).keys);
    expect(parse(text).keys.at(-1)).toMatchObject({
      name: 'cyd',
      person: 'cyd',
      rate: { knocks: 3, per: 60_000 },
    });
    for (const comment of ['# written by hand', '# the laptop', '# nothing secret'])
      expect(text).toContain(comment);
  });

  it('puts a key in the place of one of the same name', () => {
    const text = withKey(FILE, 'ci', entry) ?? '';
    expect(parse(text).keys.map(({ name }) => name)).toEqual(parse(FILE).keys.map(({ name }) => name));
    expect(text).not.toContain(secret(9));
  });

  it('takes a key out and leaves all else', () => {
    const text = withoutKey(FILE, 'ada-phone') ?? '';
    expect(parse(text).keys).toEqual(parse(FILE).keys.filter(({ name }) => name !== 'ada-phone'));
    expect(text).toContain('# nothing secret');
    expect(withoutKey(FILE, 'nobody')).toBeUndefined();
  });

  it('begins a file', () => {
    for (const text of ['', '# mine\n', 'keys:\n', 'keys: {}\n', '{}']) {
      const made = withTop(withKey(text, 'cyd', entry) ?? '', 'realm', secret(7)) ?? '';
      expect(parse(made).keys.map(({ name }) => name)).toEqual(['cyd']);
      expect(made.includes('# mine')).toBe(text.includes('# mine'));
    }
  });

  it('changes nothing in a file that is none', () => {
    for (const text of ['[', '- a', 'keys: 5', 'a']) expect(withKey(text, 'cyd', entry)).toBeUndefined();
  });

  it('adds what it took out, again and again', () => {
    const out = withoutKey(FILE, 'ci') ?? '';
    const back = withKey(out, 'ci', { secret: secret(9), doors: ['ssh'] }) ?? '';
    expect(withoutKey(back, 'ci')).toBe(out);
  });
});
