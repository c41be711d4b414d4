import { describe, expect, it } from 'vitest';
import { TCP_FLAG } from '../../../src/packet/flags.ts';
import { milliseconds } from '../../../src/packet/time.ts';
import {
  cidr,
  door,
  flags,
  packetOf,
  ports,
  ranges,
  type SendOptions,
  settings,
  type World,
  world,
} from './world.ts';

const { fin, syn, rst, ack, psh } = TCP_FLAG;
const ms = milliseconds;

/** Each line a packet: milliseconds before it, its port, and what is to become of it. */
function become(w: World, ...lines: readonly string[]): void {
  const outcomes = lines.map((line) => {
    const [wait = '0', port = ''] = line.split(' ');
    w.now += Number(wait);
    return `${wait} ${port} ${w.send(port)}`;
  });
  expect(outcomes).toEqual(lines);
}

describe('what becomes of a packet', () => {
  it('of a knock: accepted, a repeat, opened; afterwards a repeat for 70 s', () => {
    const w = world();
    become(w, '0 7000 accepted', '9 7000 repeat', '9 8000/udp accepted', '9 9000 opened');
    become(w, '9 9000 repeat', '69991 8000/udp repeat', '1 8000/udp wrong');
  });

  it('of a wrong one: wrong, or tolerated; too late: expired; too soon: too_fast', () => {
    const gap = { min: ms(100), max: ms(1_000) };
    const w = world(settings({ doors: [door({ tolerate: 1, gap })], bans: { strikes: 100 } }));
    become(w, '0 9000 wrong', '0 7000 accepted', '9 9000 tolerated', '9 9000 repeat');
    become(w, '9 8000/udp too_fast', '9 9000 tolerated', '9 8000/udp wrong');
    become(w, '0 7000 accepted', '99 8000/udp too_fast', '0 7000 accepted', '100 8000/udp accepted');
    become(w, '1000 9000 opened', '0 7000 accepted', '1001 8000/udp expired');
  });

  it('that comes too late but begins its sequence anew: expired, and the sequence is begun', () => {
    const w = world(settings({ doors: [door({ knock: ports('1', '2', '1', '3') })] }));
    become(w, '0 1 accepted', '0 2 accepted', '5001 1 expired', '0 2 accepted', '0 1 accepted', '0 3 opened');
  });

  it('that comes too late for one door and begins another: accepted', () => {
    const doors = [door({ knock: ports('1', '2') }), door({ name: 'two', knock: ports('2', '3') })];
    become(world(settings({ doors })), '0 1 accepted', '5001 2 accepted', '0 3 opened');
  });

  it('that is too soon for one door and opens another: too_fast, and the door is open', () => {
    const doors = [
      door({ knock: ports('1', '2'), gap: { min: ms(100), max: ms(1_000) } }),
      door({ name: 'two', knock: ports('2') }),
    ];
    const w = world(settings({ doors, bans: { strikes: 1 } }));
    become(w, '0 1 accepted', '9 2 too_fast');
    // Its own strike is forgiven with the others.
    expect(w.names()).toEqual(['knock.accepted', 'knock.too_fast', 'knock.accepted', 'door.opened']);
  });

  it('of a close sequence: closed, and its knocks are repeats for a day', () => {
    const w = world(settings({ doors: [door({ close: ports('9000', '8000/udp'), for: ms(1e6) })] }));
    w.knock('7000', '8000/udp', '9000');
    become(w, '5000 9000 repeat', '71000 9000 accepted', '0 8000/udp closed');
    become(w, '6000 8000/udp repeat', '64001 9000 repeat', '86400000 9000 wrong');
  });

  it('of any other: backscatter, scan, decoy, rate, banned, ignored, retransmission, malformed', () => {
    const w = world(settings({ bans: { strikes: 5, rate: { packets: 4, per: ms(1_000) } } }));
    const send = (port: string, options: SendOptions): string => w.send(port, options);
    expect(send('7000', { flags: syn | ack })).toBe('backscatter');
    expect(send('7000', { flags: rst })).toBe('backscatter');
    expect(send('7000', { flags: 0 })).toBe('scan');
    expect(send('23', { flags: fin })).toBe('scan');
    expect(send('443', { flags: fin })).toBe('ignored');
    expect(send('443', { sequence: 7, sourcePort: 7 })).toBe('ignored');
    expect(send('443', { sequence: 7, sourcePort: 7 })).toBe('retransmission');
    become(w, '0 23 decoy', '0 161/udp decoy', '0 443 ignored', '0 443 rate', '0 23 banned');
    expect(w.engine.malformed('empty', ms(w.now), (event) => w.events.push(event))).toBe('malformed');
    expect(w.events.at(-1)).toEqual({ event: 'packet.malformed', at: w.now, reason: 'empty' });
  });

  it('that begins a sequence anew leaves alone another that does not have its port', () => {
    const doors = [door({ knock: ports('1', '2', '1') }), door({ name: 'two', knock: ports('2', '3') })];
    const w = world(settings({ doors }));
    become(w, '0 1 accepted', '0 2 accepted');
    w.said();
    become(w, '5001 1 expired');
    expect(w.said()).toEqual([
      'knock.expired 198.51.100.7 ssh 1/tcp 2/3 (gap)',
      'knock.accepted 198.51.100.7 ssh 1/tcp 1/3',
    ]);
  });
});

describe('a sequence that closes', () => {
  const doors = [
    door({ knock: ports('1'), close: ports('9', '8'), within: ms(1e6), gap: { min: ms(0), max: ms(1e6) } }),
    door({ name: 'two', knock: ports('2') }),
  ];

  it('that was begun on one grant does not end another, whatever else its source holds', () => {
    const w = world(settings({ doors }));
    const command = (name: 'revoke' | 'grant'): void => {
      const from = { address: cidr('198.51.100.7').address, door: 'ssh' };
      w.engine.execute({ command: name, ...from }, ms(w.now), (event) => w.events.push(event));
    };
    become(w, '0 2 opened', '0 1 opened', '5001 9 accepted');
    command('revoke');
    w.now += 1;
    command('grant');
    become(w, '5001 8 repeat');
    become(w, '0 9 accepted', '0 8 closed');
  });

  it('can be knocked by who holds the grant alone, and begins no sooner than 5 s after the opening', () => {
    const w = world(settings({ doors: [door({ close: ports('9000', '8000/udp') })] }));
    become(w, '0 9000 wrong', '0 7000 accepted', '0 8000/udp accepted', '0 9000 opened');
    become(w, '5000 9000 repeat', '1 9000 accepted', '0 8000/udp closed');
  });

  it('that has closed leaves both doors’ knocks alone for 5 s, and for no longer', () => {
    const closing = door({ knock: ports('1', '2'), close: ports('3', '4') });
    for (const [wait, outcome] of [
      [5_000, 'repeat'],
      [5_001, 'accepted'],
    ] as const) {
      const w = world(settings({ doors: [door({ name: 'x', knock: ports('5', '6') }), closing] }));
      become(w, '0 1 accepted', '0 2 opened', '5001 3 accepted', '0 4 closed', `${wait} 1 ${outcome}`);
    }
    // A step that is not the first is let pass as well, also where no knock had opened it and another is under way.
    const w = world(settings({ doors: [door({ name: 'x', knock: ports('5', '6') }), closing] }));
    const hand = { command: 'grant', door: 'ssh', address: cidr('198.51.100.7').address } as const;
    w.engine.execute(hand, ms(w.now), (event) => w.events.push(event));
    become(w, '5001 3 accepted', '0 4 closed', '1000 5 accepted', '4000 2 repeat', '0 6 opened', '1 2 wrong');
    // And where nothing else is under way.
    const alone = world(settings({ doors: [closing] }));
    alone.engine.execute(hand, ms(alone.now), (event) => alone.events.push(event));
    become(alone, '5001 3 accepted', '0 4 closed', '5000 2 repeat', '1 2 wrong');
  });
});

describe('a ban of a /64', () => {
  it('makes forgotten what every host in it began or opened', () => {
    const w = world(settings({ bans: { for: ms(1_000), strikes: 2 } }));
    const [one, other] = ['2001:db8::1', '2001:db8::2'];
    const send = (port: string, from = other): string => {
      w.now += 10;
      return w.send(port, { from });
    };
    expect(['7000', '8000/udp', '9000'].map((port) => send(port))).toEqual([
      'accepted',
      'accepted',
      'opened',
    ]);
    expect(send('8000/udp')).toBe('repeat');
    for (const port of ['9000', '8000/udp']) send(port, one);
    expect(send('7000')).toBe('banned');
    w.pass(1_000);
    // Its steps are no repeats any more, also once it has begun and been broken off again.
    expect(send('7000')).toBe('accepted');
    expect(send('9000')).toBe('wrong');
    expect(send('8000/udp')).toBe('wrong');
  });
});

describe('flags', () => {
  it('of two doors on one port are each door’s own', () => {
    const doors = [
      door({ knock: ports('1', '2') }),
      door({ name: 'two', knock: ports('1', '3'), flags: flags('syn,psh') }),
    ];
    const w = world(settings({ doors }));
    w.send('1', { flags: syn | psh });
    w.send('1', { flags: syn });
    expect(w.said()).toEqual([
      'knock.accepted 198.51.100.7 ssh 1/tcp 1/2',
      'knock.accepted 198.51.100.7 two 1/tcp 1/2',
    ]);
    expect(w.send('3', { flags: syn })).toBe('ignored');
    expect(w.send('3', { flags: syn | psh })).toBe('opened');
  });

  it.each([
    [32_767, ack, 'scan'],
    [32_768, ack, 'ignored'],
    [60_999, ack, 'ignored'],
    [61_000, ack, 'scan'],
    [40_000, fin, 'scan'],
    [40_000, fin | ack, 'ignored'],
  ])('with decoys everywhere, to port %i with flags %i: %s', (port, set, outcome) => {
    const w = world(settings({ decoys: 'all' }));
    expect(w.send(`${port}`, { flags: set })).toBe(outcome);
  });

  it('of remains are looked at where that very port was named a decoy', () => {
    const w = world(settings({ decoys: ranges('40000') }));
    expect(w.send('40000', { flags: ack })).toBe('scan');
  });
});

describe('what a port is', () => {
  it.each(['68/udp', '546/udp', '80', '22', '6000/udp'])('with decoys everywhere, %s is none', (port) => {
    const opens = ranges('22', '6000-6001/udp');
    const w = world(settings({ doors: [door({ opens })], decoys: 'all', allow: ranges('80') }));
    expect(w.send(port)).toBe('ignored');
  });

  it.each([
    '67/udp',
    '69/udp',
    '68',
    '546',
    '1',
    '65535',
    '65535/udp',
    '21',
    '5999/udp',
    '6002/udp',
    '22/udp',
  ])('with decoys everywhere, %s is one', (port) => {
    const opens = ranges('22', '6000-6001/udp');
    const w = world(settings({ doors: [door({ opens })], decoys: 'all', allow: ranges('80') }));
    expect(w.send(port)).toBe('decoy');
  });

  it('with decoys everywhere, port 0 is one, which no file can name', () => {
    const w = world(settings({ decoys: 'all' }));
    for (const port of ['1', '1/udp']) {
      const packet = { ...packetOf(port, {}), port: 0 };
      expect(w.engine.judge(packet, ms(w.now), (event) => w.events.push(event))).toBe('decoy');
    }
  });

  it('a knock port, a service or an allowed port inside a listed range is no decoy', () => {
    const w = world(settings({ decoys: ranges('1-10000'), allow: ranges('80') }));
    expect([w.send('7000'), w.send('22'), w.send('80'), w.send('81')]).toEqual([
      'accepted',
      'ignored',
      'ignored',
      'decoy',
    ]);
  });

  it('a knock port that the same door opens needs no door before it', () => {
    const w = world(
      settings({ doors: [door({ knock: ports('22', '23') }), door({ name: 'two', knock: ports('5') })] }),
    );
    become(w, '0 22 accepted', '0 23 opened');
  });

  it('a knock port behind a door is one for those whom that door lets in: the host, its network, or everyone', () => {
    const inner = door({ name: 'inner', knock: ports('3', '4') });
    for (const [grant, from, outcome] of [
      ['source', '198.51.100.7', 'accepted'],
      ['source', '198.51.100.8', 'decoy'],
      [cidr('198.51.100.0/24'), '198.51.100.8', 'accepted'],
      [cidr('198.51.100.0/24'), '203.0.113.8', 'decoy'],
      ['any', '203.0.113.8', 'accepted'],
    ] as const) {
      const outer = door({ name: 'outer', knock: ports('1'), opens: ranges('3'), grant });
      const w = world(settings({ doors: [outer, inner], bans: { strikeOnService: true } }));
      w.send('1');
      expect(w.send('3', { from })).toBe(outcome);
    }
  });
});
