import { setTimeout as sleep } from 'node:timers/promises';
import { nextOwner, SERVICE, type World } from './world.ts';

/** Owners who knock one after the other, each from an address of its own, and are let in each time. */
export interface Knocker {
  /** Waits for the next who begins to knock from now on; answers with what went wrong since the last such call. */
  next(): Promise<readonly string[]>;
  /**
   * Whoever knocks meanwhile may have to wait for its end; or, where his packets may be lost since the rules that wait
   * for them are gone, to knock once more after it.
   */
  excuse(during: Promise<unknown>, how: 'late' | 'lost'): void;
  stop(): Promise<{ readonly knocks: number; readonly slowest: number }>;
}

/** Whoever has knocked is in within this, counted from the last knock, or from the attack's end. In milliseconds. */
const OPEN_WITHIN = 2_000;
/** A SYN that came too early is repeated by the kernel only after a second. */
const ATTEMPT_MS = 200;
/** Between two who knock. */
const PAUSE_MS = 300;
const KNOCKS = ['7000', '8000:udp', '9000'];

export function createKnocker({ net: { clientA } }: World): Knocker {
  let going = true;
  let knocks = 0;
  let slowest = 0;
  let began = 0;
  let ended = 0;
  let excusedUntil = 0;
  let excuses = 0;
  /** Those now, and all so far, in which knocks may be lost. */
  let losing = 0;
  let losses = 0;
  let wrong: string[] = [];

  async function knockAs(owner: string): Promise<void> {
    const six = owner.includes(':');
    const server = six ? clientA.server6 : clientA.server4;
    const network = six
      ? ['-6', 'route', 'replace', '2001:db8:a::/48']
      : ['route', 'replace', '192.0.2.0/24'];
    // Over IPv6 the interface's own route would be preferred, and with it a source of the kernel's choice.
    const best = six ? ['metric', '1'] : [];
    const routed = await clientA.exec(['ip', ...network, 'dev', 'eth0', 'src', owner, ...best]);
    if (routed.code !== 0) throw new Error(routed.stderr);
    for (;;) {
      const lostBefore = losses;
      const losingBefore = losing;
      const { code, stderr } = await clientA.exec(['knock', '-d', '20', server, ...KNOCKS]);
      if (code !== 0) throw new Error(stderr);
      if (await isLetIn(server, owner, performance.now())) return;
      if (losing === 0 && losingBefore === 0 && losses === lostBefore)
        throw new Error(`${owner} knocked and is not in after ${OPEN_WITHIN} ms`);
      while (losing > 0) await sleep(20);
    }
  }

  async function isLetIn(server: string, owner: string, sent: number): Promise<boolean> {
    const since = (): number => (excuses > 0 ? performance.now() : Math.max(sent, excusedUntil));
    for (;;) {
      const tried = performance.now();
      if (await clientA.canConnect(server, SERVICE, ATTEMPT_MS, owner)) {
        knocks += 1;
        slowest = Math.max(slowest, tried - since());
        return true;
      }
      if (tried - since() > OPEN_WITHIN) return false;
    }
  }

  const loop = (async () => {
    while (going) {
      began += 1;
      await knockAs(nextOwner()).catch((error: unknown) => going && wrong.push(String(error)));
      ended = began;
      await sleep(PAUSE_MS);
    }
  })();

  return {
    async next() {
      const awaited = began + 1;
      while (ended < awaited) await sleep(20);
      const found = wrong;
      wrong = [];
      return found;
    },
    excuse(during, how) {
      const lost = how === 'lost' ? 1 : 0;
      excuses += 1;
      losing += lost;
      losses += lost;
      const over = (): void => {
        excuses -= 1;
        losing -= lost;
        excusedUntil = performance.now();
      };
      during.then(over, over);
    },
    async stop() {
      going = false;
      await loop;
      return { knocks, slowest };
    },
  };
}
