import { describe, expect, it } from 'vitest';
import { openRuleWords } from '../../../src/firewall/iptables/rule-words.ts';
import { NETFILTER_HEADER_BYTES, writeMessage } from '../../../src/firewall/netlink/attributes.ts';
import {
  type Expression,
  matchExpression,
  type NftRule,
} from '../../../src/firewall/netlink/nftables-message.ts';
import { type Address, bytesOf } from '../../../src/packet/address.ts';
import { cidr } from '../../support/configs.ts';

const UNTIL = 1_795_244_556_000;
const LATER = UNTIL + 60_000;

interface Words {
  readonly source: Address;
  readonly until: number;
  readonly ports?: string;
  readonly comment?: string;
}

function attributes(write: (message: ReturnType<typeof writeMessage>) => void): Buffer {
  const message = writeMessage({ type: 0, flags: 0, family: 0 });
  write(message);
  return message.finish().subarray(NETFILTER_HEADER_BYTES);
}

/** A rule as nf_tables holds it. */
function ruleOf({ source, until, ports = '22', comment = commentOf(until) }: Words): NftRule {
  const { family } = source;
  const payload = attributes((message) => {
    message.u32(2, 1);
    message.u32(3, family === 4 ? 12 : 8);
    message.u32(4, family === 4 ? 4 : 16);
  });
  const cmp = attributes((message) => {
    message.u32(2, 0);
    message.begin(3);
    message.bytes(1, Buffer.from(bytesOf(source)));
    message.end();
  });
  const time = Buffer.alloc(24);
  time.writeUInt32LE(until / 1000, 4);
  const words = Buffer.alloc(256);
  words.write(comment);
  const expressions: Expression[] = [
    { name: 'payload', data: payload },
    { name: 'cmp', data: cmp },
    matchExpression('multiport', 1, Buffer.from(ports)),
    matchExpression('time', 0, time),
    matchExpression('comment', 0, words),
    { name: 'counter', data: Buffer.alloc(8, until % 7) },
  ];
  return { chain: 'NFKNOCK-GRANT', expressions };
}

const commentOf = (until: number): string => `nfknock door=ssh until=${until}`;
/** The same as iptables prints it. */
const textOf = (source: string, until: number): string =>
  `-s ${source} -p tcp -m multiport --dports 22 -m time --datestop ${new Date(until).toISOString().slice(0, 19)} -m comment --comment "${commentOf(until)}" -j ACCEPT`;

describe.each([
  [4, '192.0.2.7', '198.51.100.9', 32],
  [6, '2001:db8::7', '2001:db8:1::9', 128],
] as const)('a rule of a grant over IPv%i', (family, first, second, bits) => {
  const [source, other] = [cidr(first).address, cidr(second).address];
  const known = (): ReturnType<typeof openRuleWords> => {
    const words = openRuleWords(family);
    words.learn(ruleOf({ source, until: UNTIL }), textOf(`${first}/${bits}`, UNTIL));
    return words;
  };

  it('is told as iptables would once another of its door was printed', () => {
    const rule = ruleOf({ source: other, until: LATER });
    expect(openRuleWords(family).textOf(rule)).toBeUndefined();
    expect(known().textOf(rule)).toBe(textOf(`${second}/${bits}`, LATER));
  });

  it('is not told where it differs in anything but source, end and comment, or is no grant', () => {
    expect(known().textOf(ruleOf({ source, until: UNTIL, ports: '23' }))).toBeUndefined();
    expect(known().textOf(ruleOf({ source, until: UNTIL, comment: 'mine' }))).toBeUndefined();
    const { chain, expressions } = ruleOf({ source, until: UNTIL });
    expect(
      known().textOf({ chain, expressions: [...expressions, ...expressions.slice(0, 2)] }),
    ).toBeUndefined();
    expect(known().textOf({ chain, expressions: expressions.slice(2) })).toBeUndefined();
  });

  it('is not learned from words that are not its own', () => {
    const words = openRuleWords(family);
    words.learn(ruleOf({ source, until: UNTIL }), textOf(`${second}/${bits}`, UNTIL));
    words.learn(ruleOf({ source, until: UNTIL }), textOf(`${first}/${bits}`, LATER));
    expect(words.textOf(ruleOf({ source, until: UNTIL }))).toBeUndefined();
  });
});
