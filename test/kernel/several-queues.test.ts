import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Daemon } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';

/** By addresses and protocol a packet goes to one of the queues, so TCP and UDP of one knocker can part. */
const QUEUES = '0-3';
const KNOCKERS = 12;

describe('a knock of which each part takes another way', () => {
  let net: Net;
  let daemon: Daemon;

  beforeAll(async () => {
    net = await createNet();
    await net.server.listen(443);
    daemon = await net.server.startDaemon({
      listen: { queues: QUEUES },
      doors: {
        queues: { knock: ['7000/tcp', '8000/udp', '9000/tcp', '9500/udp', '9800/tcp'], opens: ['22/tcp'] },
        watched: { knock: ['7100/udp', '443/tcp', '8100/tcp', '9100/udp'], opens: ['23/tcp'] },
      },
      allow: ['443/tcp'],
      bans: { enforce: false },
    });
  });
  afterAll(async () => {
    await daemon?.stop();
    net?.close();
  });

  it.each([
    ['one of several queues', 'queues', ['7000', '8000:udp', '9000', '9500:udp', '9800']],
    ['a queue or the group of ports with a live service', 'watched', ['7100:udp', '443', '8100', '9100:udp']],
  ])('%s, is judged in the order in which it was sent', async (_, door, ports) => {
    for (let count = 0; count < KNOCKERS; count += 1) {
      const { v4 } = await net.clientA.moveToFreshSource();
      await net.clientA.exec(['knock', net.clientA.server4, ...ports]);
      await daemon.waitFor({ event: 'door.opened', source: v4, door });
      expect(daemon.seen({ event: 'knock.wrong', source: v4 })).toEqual([]);
    }
  });
});
