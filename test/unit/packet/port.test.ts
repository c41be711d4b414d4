import { describe, expect, it } from 'vitest';
import { flagsMatch, parseFlags, TCP_FLAG } from '../../../src/packet/flags.ts';
import {
  formatPort,
  formatPortRange,
  inRange,
  isPort,
  parsePort,
  parsePortRange,
} from '../../../src/packet/port.ts';

describe('a port', () => {
  it.each([
    ['22', 'tcp', 22],
    ['22/tcp', 'tcp', 22],
    ['53/udp', 'udp', 53],
    ['1', 'tcp', 1],
    ['65535/udp', 'udp', 65_535],
  ])('%s is %s %i', (text, protocol, port) => {
    expect(parsePort(text)).toEqual({ protocol, port });
    expect(parsePortRange(text)).toEqual({ protocol, first: port, last: port });
  });

  it.each(['', '0', '65536', '22/sctp', '/tcp', '22-23', '22-22', ' 22', '22/tcp/udp', '1e3', '000022'])(
    '%s is none',
    (text) => {
      expect(parsePort(text)).toBeUndefined();
    },
  );

  it('is written with its protocol', () => {
    expect(formatPort(parsePort('53/udp') ?? expect.unreachable())).toBe('53/udp');
  });

  it('is a whole number from 1 to 65535', () => {
    expect([0, 1, 1.5, 65_535, 65_536, Number.NaN].filter(isPort)).toEqual([1, 65_535]);
  });
});

describe('a range of ports', () => {
  const range = parsePortRange('6000-6100/udp') ?? expect.unreachable();

  it('has both of its ends, and its own protocol alone', () => {
    const has = (text: string): boolean => inRange(range, parsePort(text) ?? expect.unreachable());
    expect(['5999/udp', '6000/udp', '6100/udp', '6101/udp', '6050/tcp'].filter(has)).toEqual([
      '6000/udp',
      '6100/udp',
    ]);
  });

  it.each(['6000-6100/udp', '1-65535/tcp', '1-9/udp', '22/tcp'])('%s is written as it is read', (text) => {
    expect(formatPortRange(parsePortRange(text) ?? expect.unreachable())).toBe(text);
  });

  it.each(['6100-6000', '0-5', '5-0', '5-65536', '65536-65537', '5-', '-5'])('%s is none', (text) => {
    expect(parsePortRange(text)).toBeUndefined();
  });
});

describe('a rule of flags', () => {
  const { fin, syn, rst, psh, ack, urg } = TCP_FLAG;

  it.each([
    ['syn', syn, fin | rst | ack],
    ['syn,!ack', syn, fin | rst | ack],
    ['SYN, ! ack', syn, fin | rst | ack],
    ['syn,ack', syn | ack, fin | rst],
    ['syn,fin', syn | fin, rst | ack],
    ['ack', ack, 0],
    ['!syn', 0, syn],
    ['fin,psh,urg', fin | psh | urg, 0],
    ['psh,!urg,!rst', psh, urg | rst],
  ])('%s wants these set and those clear', (text, set, clear) => {
    expect(parseFlags(text)).toEqual({ set, clear });
  });

  it.each(['', 'sin', 'syn,', 'syn,!syn', '!!syn', 'syn ack', 'ece'])('%s is none', (text) => {
    expect(parseFlags(text)).toBeUndefined();
  });

  it('matches what has all that it wants and nothing that it does not', () => {
    const rule = parseFlags('syn,psh,!urg') ?? expect.unreachable();
    const matching = Array.from({ length: 64 }, (_, flags) => flags).filter((flags) =>
      flagsMatch(rule, flags),
    );
    expect(matching).toEqual([syn | psh]);
    const loose = parseFlags('fin,!ack') ?? expect.unreachable();
    expect(flagsMatch(loose, fin)).toBe(true);
    expect(flagsMatch(loose, fin | syn)).toBe(true);
    expect(flagsMatch(loose, fin | ack)).toBe(false);
    expect(flagsMatch(loose, syn)).toBe(false);
  });
});
