import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readAttributes, readMessages, writeMessage } from '../../../src/firewall/netlink/attributes.ts';
import { readConnection, sourceOfEntry } from '../../../src/firewall/netlink/conntrack-message.ts';
import {
  COMMAND,
  entriesMessage,
  readListed,
  refusedEntry,
} from '../../../src/firewall/netlink/ipset-message.ts';
import { cidr } from '../../support/configs.ts';

const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array));
const HEADER = 20;

/** A message of the tests' own: u8, text and words in a nested attribute. */
function sample(): Buffer {
  const message = writeMessage({ type: 0x602, flags: 5, family: 10 });
  message.u8(1, 6);
  message.begin(7);
  message.text(2, 'name');
  message.words(3, [1, -1]);
  message.end();
  return message.finish();
}

describe('netlink messages', () => {
  it('are read back as they were written, whatever their lengths', () => {
    const [message, ...rest] = readMessages(Buffer.concat([sample(), sample().subarray(0, 10)]));
    expect(rest).toEqual([]);
    expect(message).toMatchObject({ type: 0x602, flags: 5 });
    const found: string[] = [];
    readAttributes(message?.payload.subarray(4) ?? Buffer.alloc(0), (type, value) => {
      if (type !== 7) found.push(`${type} ${value.toString('hex')}`);
      else readAttributes(value, (inner, text) => found.push(`${type}.${inner} ${text.toString('hex')}`));
    });
    expect(found).toEqual(['1 06', '7.2 6e616d6500', '7.3 00000001ffffffff']);
  });

  it('grow past the room that they began with', () => {
    const message = writeMessage({ type: 1, flags: 1, family: 2 }, 32);
    for (let n = 0; n < 1000; n += 1) message.u32(1, n);
    let count = 0;
    readAttributes(message.finish().subarray(HEADER), (_type, value) => {
      expect(value.readUInt32BE(0)).toBe(count);
      count += 1;
    });
    expect(count).toBe(1000);
  });

  it('that lie about their lengths end the reading, and nothing is read beyond them', () => {
    fc.assert(
      fc.property(bytes, (datagram) => {
        for (const { payload } of readMessages(datagram))
          expect(payload.length).toBeLessThanOrEqual(datagram.length);
        readAttributes(datagram, (_type, value) => expect(value.length).toBeLessThan(datagram.length));
        readListed(datagram);
        sourceOfEntry(datagram);
        readConnection(datagram);
        refusedEntry(datagram);
      }),
      { numRuns: 2_000 },
    );
  });

  it('cut short or with a byte changed anywhere are read without a fault', () => {
    const entries = ['192.0.2.1', '192.0.2.2'].map((text) => ({ target: cidr(text), seconds: 60 }));
    const whole = entriesMessage(COMMAND.add, 'nfknock-ban4', entries, 0).subarray(16);
    for (let at = 0; at < whole.length; at += 1) {
      readListed(whole.subarray(0, at));
      for (const value of [0, 1, 4, 127, 255]) {
        const changed = Buffer.from(whole);
        changed[at] = value;
        readListed(changed);
      }
    }
    expect(readListed(whole).name).toBe('nfknock-ban4');
    const listed = Buffer.from(whole);
    expect(readListed(listed).entries.map(({ seconds }) => seconds)).toEqual([60, 60]);
  });

  it('carry at most a thousand entries, so that no length overflows', () => {
    const entries = Array.from({ length: 2_500 }, () => ({ target: cidr('2001:db8::/64'), seconds: 60 }));
    for (const first of [0, 1000, 2000]) {
      const message = entriesMessage(COMMAND.add, 'nfknock-ban6', entries, first);
      expect(message.length).toBeLessThan(65_536);
      expect(message.readUInt32LE(0)).toBe(message.length);
    }
  });
});
