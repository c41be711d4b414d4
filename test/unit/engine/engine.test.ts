import { describe, expect, it } from 'vitest';
import { TCP_FLAG } from '../../../src/packet/flags.ts';
import { milliseconds } from '../../../src/packet/time.ts';
import { address, cidr, door, flags, ports, ranges, settings, world } from './world.ts';

const ME = '198.51.100.7';

describe('a sequence', () => {
  it('opens its door at the last knock', () => {
    const w = world();
    w.knock('7000', '8000/udp', '9000');
    expect(w.said()).toEqual([
      `knock.accepted ${ME} ssh 7000/tcp 1/3`,
      `knock.accepted ${ME} ssh 8000/udp 2/3`,
      `knock.accepted ${ME} ssh 9000/tcp 3/3`,
      `door.opened ${ME} ssh`,
    ]);
  });

  it('in another order never opens, and bans at the third offence', () => {
    const w = world();
    w.knock('9000', '8000/udp', '7000', '9000');
    expect(w.said()).toEqual([
      `knock.wrong ${ME} 9000/tcp (out of order) #1`,
      `knock.wrong ${ME} 8000/udp (out of order) #2`,
      `knock.accepted ${ME} ssh 7000/tcp 1/3`,
      `knock.wrong ${ME} ssh 9000/tcp 1/3 (out of order) #3`,
      `ban.added ${ME} (strikes) #3`,
    ]);
    expect(w.send('7000')).toBe('banned');
  });

  it('takes a SYN that is sent again for one knock', () => {
    const w = world();
    for (const wait of [0, 1000, 2000, 4000]) {
      w.now += wait;
      w.send('7000', { sourcePort: 5000, sequence: 77 });
    }
    expect(w.said()).toEqual([`knock.accepted ${ME} ssh 7000/tcp 1/3`]);
  });

  it('ignores a knock already made that comes again from another port', () => {
    const w = world();
    w.knock('7000', '7000', '8000/udp', '7000', '8000/udp', '9000');
    expect(w.names().at(-1)).toBe('door.opened');
    w.now += 2000;
    w.knock('9000', '8000/udp');
    expect(w.engine.source(address(ME), milliseconds(w.now)).strikes).toBe(0);
  });

  it('is renewed by the same knocks and closes at the later end', () => {
    const w = world();
    w.knock('7000', '8000/udp', '9000');
    w.pass(20_000);
    w.knock('7000', '8000/udp', '9000');
    expect(w.names().at(-1)).toBe('door.renewed');
    const renewed = w.now;
    w.pass(29_999);
    expect(w.engine.grants()).toHaveLength(1);
    w.pass(1);
    expect(w.events.at(-1)).toMatchObject({ event: 'door.closed', reason: 'expired', at: renewed + 30_000 });
  });

  it('expires between two knocks without an offence', () => {
    const w = world();
    w.send('7000');
    w.now += 5001;
    w.send('8000/udp');
    expect(w.said()).toEqual([
      `knock.accepted ${ME} ssh 7000/tcp 1/3`,
      `knock.expired ${ME} ssh 8000/udp 1/3 (gap)`,
    ]);
  });

  it('expires as a whole', () => {
    const w = world(settings({ doors: [door({ within: milliseconds(6_000) })] }));
    w.send('7000');
    w.now += 4000;
    w.send('8000/udp');
    w.now += 4000;
    w.send('9000');
    expect(w.said().at(-1)).toBe(`knock.expired ${ME} ssh 9000/tcp 2/3 (within)`);
  });

  it('has more time for more steps where no time is given', () => {
    const eight = Array.from({ length: 8 }, (_, index) => `${7000 + 10 * index}`);
    const w = world(settings({ doors: [door({ within: null, knock: ports(...eight) })] }));
    for (const port of eight) {
      w.send(port);
      w.pass(3_000);
    }
    expect(w.said().at(-1)).toBe(`door.opened ${ME} ssh`);
  });

  it('that comes faster than its gap is broken off and struck', () => {
    const w = world(settings({ doors: [door({ gap: { min: milliseconds(50), max: milliseconds(5000) } })] }));
    w.send('7000');
    w.now += 49;
    w.send('8000/udp');
    expect(w.said().at(-1)).toBe(`knock.too_fast ${ME} ssh 8000/udp 1/3 (gap) #1`);
  });

  it('is not too fast on a packet that waited without a stamp', () => {
    const w = world(settings({ doors: [door({ gap: { min: milliseconds(50), max: milliseconds(5000) } })] }));
    w.send('7000');
    w.send('8000/udp', { stamped: false });
    expect(w.said().at(-1)).toBe(`knock.accepted ${ME} ssh 8000/udp 2/3`);
  });

  it('survives as many wrong packets as its door tolerates', () => {
    const doors = [door({ tolerate: 1 }), door({ name: 'web', knock: ports('100', '200') })];
    const w = world(settings({ doors }));
    w.knock('7000', '200', '8000/udp', '9000');
    expect(w.names()).toContain('door.opened');
    const again = world(settings({ doors }));
    again.knock('7000', '200', '9000', '8000/udp', '9000');
    expect(again.names()).not.toContain('door.opened');
  });

  it('counts a wrong packet though the clock was put back since it began', () => {
    const doors = [door({ tolerate: 1 }), door({ name: 'web', knock: ports('100', '200', '300') })];
    for (const step of [0, 1, 2, 50]) {
      const w = world(settings({ doors }));
      w.send('7000');
      w.now -= step;
      w.send('200');
      w.send('300');
      w.now += step;
      w.knock('8000/udp', '9000');
      expect(w.names(), `${step} ms`).not.toContain('door.opened');
    }
  });

  it('shares its first knocks with another door, and both advance', () => {
    const doors = [door({ knock: ports('1', '2', '3') }), door({ name: 'web', knock: ports('1', '2', '4') })];
    const w = world(settings({ doors }));
    w.knock('1', '2', '4');
    expect(w.said()).toContain(`door.opened ${ME} web`);
    expect(w.said().concat(w.events.map((e) => e.event))).not.toContain('ban.added');
  });
});

describe('a close sequence', () => {
  const doors = [door({ close: ports('9000', '8000/udp', '7000') })];

  it('begins at once after a renewal, unless its ports are also knocked to open', () => {
    for (const [close, ended] of [
      [['1', '2'], true],
      [['1', '9000'], false],
    ] as const) {
      const w = world(settings({ doors: [door({ close: ports(...close) })] }));
      w.knock('7000', '8000/udp', '9000');
      w.pass(5_001);
      w.knock('7000', '8000/udp', '9000');
      expect(w.names().at(-1)).toBe('door.renewed');
      w.knock(...close);
      expect(w.engine.grants()).toHaveLength(ended ? 0 : 1);
    }
  });

  it('ends the grant, but does not begin within five seconds of the opening', () => {
    const w = world(settings({ doors }));
    w.knock('7000', '8000/udp', '9000');
    w.now += 2000;
    w.knock('9000', '8000/udp', '7000');
    expect(w.names()).not.toContain('door.closed');
    w.now += 6000;
    w.knock('9000', '8000/udp', '7000');
    expect(w.said()).toContain(`door.closed ${ME} ssh (knock)`);
  });

  it('repeated in reverse does not open the door again', () => {
    const w = world(settings({ doors }));
    w.knock('7000', '8000/udp', '9000');
    w.now += 6000;
    w.knock('9000', '8000/udp', '7000');
    w.now += 2000;
    w.knock('7000', '8000/udp', '9000');
    expect(w.names().filter((name) => name === 'door.opened')).toHaveLength(1);
    expect(w.engine.source(address(ME), milliseconds(w.now)).strikes).toBe(0);
  });

  it('that was begun is over, and no offence, once the door is renewed', () => {
    const both = [door({ knock: ports('5353/udp'), close: ports('7000', '9000') })];
    const w = world(settings({ doors: both }));
    w.knock('5353/udp');
    w.now += 5100;
    w.knock('7000', '9000');
    w.now += 5100;
    w.knock('5353/udp');
    w.now += 5100;
    w.said();
    w.knock('7000', '5353/udp');
    expect(w.said()).toEqual([
      `knock.accepted ${ME} ssh 7000/tcp 1/2`,
      `knock.accepted ${ME} ssh 5353/udp 1/1`,
      `door.renewed ${ME} ssh`,
    ]);
  });

  it('is no help to a stranger', () => {
    const w = world(settings({ doors }));
    // The first and its rest, and that twice more.
    w.knock('9000', '8000/udp', '9000', '8000/udp', '9000');
    expect(w.names()).toEqual([...Array.from({ length: 5 }, () => 'knock.wrong'), 'ban.added']);
  });
});

describe('flags', () => {
  it('ECN on a SYN changes nothing', () => {
    const w = world();
    expect(w.send('7000', { flags: TCP_FLAG.syn })).toBe('accepted');
  });

  it.each([
    ['null', 0],
    ['fin', TCP_FLAG.fin],
    ['xmas', TCP_FLAG.fin | TCP_FLAG.psh | TCP_FLAG.urg],
    ['ack', TCP_FLAG.ack],
    ['maimon', TCP_FLAG.fin | TCP_FLAG.ack],
    ['flags', TCP_FLAG.syn | TCP_FLAG.fin],
  ])('a %s probe of a knock port or a decoy is a scan', (reason, bits) => {
    const w = world();
    w.send('7000', { flags: bits });
    w.send('23', { flags: bits });
    expect(w.said()).toEqual([
      `scan.detected ${ME} 7000/tcp (${reason}) #1`,
      `scan.detected ${ME} 23/tcp (${reason}) #2`,
    ]);
  });

  it('backscatter is never an offence', () => {
    const w = world();
    expect(w.send('23', { flags: TCP_FLAG.syn | TCP_FLAG.ack })).toBe('backscatter');
    expect(w.send('23', { flags: TCP_FLAG.rst })).toBe('backscatter');
    expect(w.send('7000', { flags: TCP_FLAG.rst | TCP_FLAG.ack })).toBe('backscatter');
    expect(w.said()).toEqual([]);
  });

  it('a door with flags of its own takes knocks with those alone', () => {
    const w = world(settings({ doors: [door({ knock: ports('7000', '9000'), flags: flags('fin') })] }));
    w.send('7000', { flags: TCP_FLAG.fin });
    expect(w.send('9000')).toBe('ignored');
    w.send('9000', { flags: TCP_FLAG.fin });
    expect(w.names().at(-1)).toBe('door.opened');
  });

  it('with decoys on all ports, the remains of our own connections are no scan', () => {
    const w = world(settings({ decoys: 'all' }));
    expect(w.send('40000', { flags: TCP_FLAG.ack })).toBe('ignored');
    expect(w.send('400', { flags: TCP_FLAG.ack })).toBe('scan');
    expect(w.send('40000')).toBe('decoy');
  });
});

describe('bans', () => {
  it('last longer each time, up to the most', () => {
    const w = world(
      settings({ bans: { strikes: 1, for: milliseconds(1000), escalate: 10, max: milliseconds(50_000) } }),
    );
    const lengths: number[] = [];
    for (let round = 0; round < 4; round += 1) {
      const begin = w.now;
      w.send(`230${round}`);
      const ban = w.events.findLast((event) => event.event === 'ban.added');
      lengths.push((ban?.until ?? 0) - begin);
      w.pass(50_001);
    }
    expect(lengths).toEqual([1000, 10_000, 50_000, 50_000]);
  });

  it('count only the strikes of the last minute', () => {
    const w = world();
    w.send('23');
    w.send('2323');
    w.now += 60_001;
    w.send('2324');
    expect(w.said().at(-1)).toBe(`decoy.hit ${ME} 2324/tcp #1`);
  });

  it('never reach who is exempt, who can still knock', () => {
    const w = world(settings({ bans: { never: [cidr('198.51.100.0/24')] } }));
    for (let i = 0; i < 9; i += 1) w.send('23');
    w.knock('7000', '8000/udp', '9000');
    expect(w.names()).not.toContain('ban.added');
    expect(w.names()).toContain('door.opened');
  });

  it('are for the /64 of an IPv6 host, whose grants are its own', () => {
    const w = world();
    for (const host of ['2001:db8::1', '2001:db8::2', '2001:db8::3']) w.send('23', { from: host });
    expect(w.said().at(-1)).toBe('ban.added 2001:db8::/64 (strikes) #3');
    expect(w.send('7000', { from: '2001:db8::9' })).toBe('banned');
    expect(w.send('7000', { from: '2001:db8:0:1::9' })).toBe('accepted');
  });

  it('do not reach who holds a grant, for decoys and rate, which can be forged', () => {
    const w = world();
    w.knock('7000', '8000/udp', '9000');
    w.said();
    for (let i = 0; i < 5; i += 1) w.send('23');
    expect(w.said()).toEqual(Array(5).fill(`decoy.hit ${ME} 23/tcp`));
  });

  it('are only said in the shadow', () => {
    const w = world(settings({ bans: { enforce: false, strikes: 1 } }));
    w.send('23');
    expect(w.events.at(-1)).toMatchObject({ event: 'ban.added', shadow: true });
    expect(w.send('7000')).toBe('accepted');
  });

  it('make room at their limit by lifting the one that ends first', () => {
    const w = world(settings({ bans: { strikes: 1, limit: 2 } }));
    for (const host of ['192.0.2.1', '192.0.2.2', '192.0.2.3']) {
      w.now += 1;
      w.send('23', { from: host });
    }
    expect(w.said()).toContain('ban.lifted 192.0.2.1 (limit)');
    expect(w.engine.bans()).toHaveLength(2);
  });

  it('come from too many packets a second', () => {
    const w = world(
      settings({
        decoys: ranges('1-100/tcp'),
        doors: [door({ knock: ports('7000', '8000') })],
        bans: { strikes: 100 },
      }),
    );
    for (let i = 0; i < 21; i += 1) w.send(i % 2 === 0 ? '7000' : '7000');
    expect(w.said().at(-1)).toBe(`scan.detected ${ME} 7000/tcp (rate) #1`);
  });
});

describe('memory', () => {
  it('under a flood of forged first knocks keeps who is past the first', () => {
    const w = world(settings({ sources: 100 }));
    w.send('7000');
    w.send('8000/udp');
    for (let i = 0; i < 5000; i += 1) w.send('7000', { from: `10.0.${i >> 8}.${i & 255}` });
    expect(w.engine.sizes().attempts).toBe(100);
    w.send('9000');
    expect(w.names().at(-1)).toBe('door.opened');
  });

  it('is short while someone who may still be knocking makes room for another, not for what is left of a flood', () => {
    const w = world(settings({ sources: 100 }));
    const knockAs = (i: number) => w.send('7000', { from: `10.0.${i >> 8}.${i & 255}` });
    for (let i = 0; i < 100; i += 1) knockAs(i);
    expect(w.engine.crowded()).toBe(Number.NEGATIVE_INFINITY);
    knockAs(100);
    const at = w.engine.crowded();
    expect(at).toBeGreaterThan(Number.NEGATIVE_INFINITY);
    w.pass(3_600_000);
    for (let i = 101; i < 200; i += 1) knockAs(i);
    expect(w.engine.crowded()).toBe(at);
  });
});

describe('who has opened a door', () => {
  it('gives up the place in the table once the knocks can not be repeats any more', () => {
    const w = world(settings({ sources: 8 }));
    for (let host = 1; host <= 8; host += 1) {
      for (const port of ['7000', '8000/udp', '9000']) w.send(port, { from: `192.0.2.${host}` });
    }
    w.pass(30 * 86_400_000);
    for (const port of ['7000', '8000/udp', '9000']) {
      for (const host of ['203.0.113.1', '203.0.113.2', '203.0.113.3']) w.send(port, { from: host });
    }
    expect(w.engine.grants()).toHaveLength(3);
  });
});

describe('chained doors', () => {
  it('knock on the second door only once the first is open', () => {
    const doors = [
      door({ name: 'one', knock: ports('1', '2'), opens: ranges('3/tcp') }),
      door({ name: 'two', knock: ports('3', '4') }),
    ];
    const w = world(settings({ doors }));
    expect(w.send('3')).toBe('ignored');
    w.knock('1', '2', '3', '4');
    expect(w.said()).toContain(`door.opened ${ME} two`);
  });
});

describe('orders', () => {
  it('reload keeps grants and the progress of unchanged doors', () => {
    const w = world();
    w.knock('7000', '8000/udp', '9000', '7000');
    const doors = [door({ name: 'new', knock: ports('1', '2') }), door()];
    w.engine.execute({ command: 'reload', settings: settings({ doors }) }, milliseconds(w.now), (e) =>
      w.events.push(e),
    );
    expect(w.engine.grants().map((grant) => grant.door)).toEqual(['ssh']);
    w.knock('8000/udp', '9000');
    expect(w.names().at(-1)).toBe('door.renewed');
  });

  it('a used-up grant ends', () => {
    const w = world(settings({ doors: [door({ uses: 2 })] }));
    w.knock('7000', '8000/udp', '9000');
    for (let i = 0; i < 2; i += 1) {
      w.engine.execute({ command: 'connected', door: 'ssh', source: address(ME) }, milliseconds(w.now), (e) =>
        w.events.push(e),
      );
    }
    expect(w.said().at(-1)).toBe(`door.closed ${ME} ssh (used)`);
  });

  it('a one-time door opens once and waits for its next sequence', () => {
    const w = world(settings({ doors: [door({ oneTime: true })] }));
    w.knock('7000', '8000/udp', '9000');
    w.engine.execute(
      { command: 'sequence', door: 'ssh', knock: ports('1', '2') },
      milliseconds(w.now),
      () => {},
    );
    w.pass(31_000);
    w.knock('7000', '8000/udp', '9000');
    expect(w.engine.grants()).toHaveLength(0);
    w.knock('1', '2');
    expect(w.names().at(-1)).toBe('door.opened');
  });
});
