import { once } from 'node:events';
import { join } from 'node:path';
import { type Net, SERVER4, sleep, tryTo } from './net.ts';
import { isThere, type Name, startRival } from './rival.ts';
import { type Flood, floodArgv } from './throughput.ts';

export interface Opening {
  readonly name: Name;
  /** Under which flood, in words; `idle` for none. */
  readonly under: string;
  /** Packets a second asked for; 0: none, or as many as go. */
  readonly rate: number;
  /** Packets a second that came. */
  readonly offered: number;
  readonly tries: number;
  readonly opened: number;
  /** Milliseconds from the last knock to the open port, of those that opened. */
  readonly p50: number;
  readonly p99: number;
}

export interface Trial {
  readonly name: Name;
  readonly under: string;
  /** Undefined: no flood. */
  readonly flood?: Omit<Flood, 'seconds'>;
  readonly tries: number;
}

/** How long a door is waited for, in milliseconds. */
const PATIENCE = 2000;
/** Milliseconds between two tries. */
const PAUSE = 8;
/** The others start a process for each. */
const PAUSE_OTHERS = 20;
/** Each source knocks once: what is measured is opening, not renewing. So many sources the knocker has. */
const TRIES_MAX = 250;
const FLOOD_SECONDS = 30;

/** An honest knocker from outside, one try after the other, with or without a flood beside it. */
export async function opening(net: Net, trial: Trial): Promise<Opening | undefined> {
  const { name, under, flood, tries } = trial;
  if (!isThere(name)) return undefined;
  const took: number[] = [];
  let offered = 0;
  let rounds = 0;
  for (let left = tries; left > 0; left -= TRIES_MAX) {
    const round = await knockRound(net, trial, Math.min(left, TRIES_MAX));
    took.push(...round.took);
    offered += round.offered;
    rounds += 1;
  }
  const opened = took.filter((each) => each >= 0).sort((x, y) => x - y);
  const quantile = (share: number): number =>
    (opened[Math.min(opened.length - 1, Math.floor(opened.length * share))] ?? Number.NaN) / 1000;
  return {
    name,
    under,
    rate: flood?.rate ?? 0,
    offered: offered / rounds,
    tries: took.length,
    opened: opened.length,
    p50: quantile(0.5),
    p99: quantile(0.99),
  };
}

interface Round {
  /** Microseconds each; −1: it did not open. */
  readonly took: readonly number[];
  /** Packets a second that came. */
  readonly offered: number;
}

/** One try from each of `tries` sources, with a rival of its own. */
async function knockRound(net: Net, { name, flood }: Trial, tries: number): Promise<Round> {
  const rival = await startRival(net, name);
  const before = net.offered();
  const begun = performance.now();
  const noise =
    flood === undefined
      ? undefined
      : net.start(net.client, floodArgv(net, { ...flood, seconds: FLOOD_SECONDS }));
  if (noise !== undefined) await sleep(500);
  const pause = name === 'knockd' || name === 'C + iptables -I' ? PAUSE_OTHERS : PAUSE;
  const knocker = net.start(
    net.client,
    [join(net.folder, 'knocker'), '-d', SERVER4, '-n', `${tries}`, '-w', `${PATIENCE}`, '-g', `${pause}`],
    'pipe',
  );
  let text = '';
  knocker.stdout?.on('data', (data) => {
    text += data;
  });
  const alarm = setTimeout(() => knocker.kill('SIGKILL'), FLOOD_SECONDS * 1000);
  await once(knocker, 'close');
  clearTimeout(alarm);
  const seconds = (performance.now() - begun) / 1000;
  noise?.kill('SIGKILL');
  // Nothing is handed on to knockd: it listens beside the rules, and nobody counts what it hears.
  const offered = name === 'knockd' ? Number.NaN : (net.offered() - before) / seconds;
  await rival.stop();
  tryTo(() => void net.run(net.server, ['iptables', '-F']));
  return { took: text.trim().split('\n').map(Number), offered };
}

/** The four floods that an honest knock must get through. */
export function floods(
  rate: number,
): readonly { readonly under: string; readonly flood: Omit<Flood, 'seconds'> }[] {
  return [
    { under: 'forged first knocks', flood: { rate, port: '7000' } },
    { under: 'forged random ports', flood: { rate, port: '1-65535' } },
    { under: 'forged decoy hits', flood: { rate, port: '5900-5910' } },
    { under: 'one source hammering', flood: { rate, port: '7000', source: '2001:db8::bad/128' } },
  ];
}
