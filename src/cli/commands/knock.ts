import { connect } from 'node:net';
import { setImmediate, setTimeout } from 'node:timers/promises';
import type { Profile } from '../../config/client-key.ts';
import { formatFault } from '../../config/fault.ts';
import { formatPort, type PortSpec, type Protocol, parseKnock as parseStep } from '../../packet/port.ts';
import { withinOf } from '../../policy/limits.ts';
import { digitsOf, knocksOf } from '../../spa/code-template.ts';
import { quoted } from '../../text/plain.ts';
import { sendDatagram } from '../datagram.ts';
import { CONFIG_FILE, type CommonOptions, EXIT, type ExitCode } from '../exit.ts';
import { CommandFailure, failed, usage } from '../failure.ts';
import { afterwards } from '../knock/afterwards.ts';
import { profileOf, profilePath } from '../knock/profile.ts';
import { codeOf, resolve } from '../resolve.ts';

export interface KnockOptions extends CommonOptions {
  /** Milliseconds between two knocks, as text; left out: DELAY_MS, or what the door's times allow. */
  readonly delay?: string;
  readonly udp?: boolean;
  readonly '4'?: boolean;
  readonly '6'?: boolean;
  readonly verbose?: boolean;
  readonly door?: string;
  /** Files: what `key new` made for this client, and an SSH key. */
  readonly key?: string;
  readonly sshKey?: string;
  /** For whom the door is to open; left out: for the address that the packet comes from. */
  readonly address?: string;
  readonly port?: string;
  /** What an authenticator shows. */
  readonly code?: string;
  /** What follows: a TCP port to wait for, a command to run, a TCP port to be connected to. */
  readonly wait?: string;
  readonly then?: readonly string[];
  readonly proxy?: string;
}

/** Milliseconds: long enough that a jittery line does not reorder two knocks, too short to be noticed. */
const DELAY_MS = 50;
/** Milliseconds; no door waits longer between two knocks. */
const DELAY_MS_MAX = 86_400_000;
/** A door's shortest gap is kept with this share to spare, and never less than this many milliseconds: the way there is not equally long for every packet. */
const GAP_SPARE = { share: 0.2, least: 20 } as const;

/** What the local kernel says when the packet went out and a port that is closed or prohibited answered. */
const ANSWERS: ReadonlySet<string> = new Set(['ECONNREFUSED', 'ECONNRESET', 'ETIMEDOUT']);

interface Plan {
  readonly ports: readonly PortSpec[];
  /** Milliseconds. */
  readonly delay: number;
}

/** The client: one SYN or one datagram a port, strictly in order, and nothing sent again; or the one packet of a key. */
export async function command(args: readonly string[], options: KnockOptions): Promise<ExitCode> {
  try {
    const [name = '', ...ports] = args;
    const next = afterwards(options);
    // Standard output is what follows' own, where something follows.
    const stream =
      options.then === undefined && options.proxy === undefined ? process.stdout : process.stderr;
    const say = (line: string): void => {
      if (options.verbose) stream.write(`${line}\n`);
    };
    if (options.key !== undefined && options.code !== undefined)
      throw usage('a key opens by one packet, without a code: leave --code out, or the key');
    const profile = ports.length > 0 || options.key !== undefined ? undefined : profileOf(name);
    const host = profile?.host ?? name;
    const key = keyFile(name, options, profile);
    if (key !== undefined) {
      const { knockWithKey } = await import('../keys/knock-with-key.ts');
      return await next(await knockWithKey(host, ports, { ...options, ...key }, say));
    }
    for (const name of ['address', 'port'] as const) {
      if (options[name] !== undefined)
        throw usage(`--${name} belongs to a key: add --key FILE or --ssh-key FILE, or leave it out`);
    }
    const plan = withCode(await planOf(ports, options, profile), options.code);
    const [address = ''] = await resolve(host, options);
    await knock(address, plan, (spec) => say(`knocking at ${formatPort(spec)} of ${address}`));
    return await next([address]);
  } catch (error) {
    if (!(error instanceof CommandFailure)) throw error;
    return failed(error);
  }
}

/** The key that is knocked with, where one is: what was named, or what the profile has. */
function keyFile(
  name: string,
  { key, sshKey, code, config }: KnockOptions,
  profile: Profile | undefined,
): Pick<KnockOptions, 'key' | 'sshKey'> | undefined {
  if (key !== undefined) return { key };
  if (sshKey !== undefined) {
    if (code === undefined) return profile === undefined ? {} : { key: profilePath(name) };
    throw usage('a key opens by one packet, without a code: leave --code out, or the key');
  }
  const own = profile?.key != null && code === undefined && config === CONFIG_FILE;
  return own ? { key: profilePath(name) } : undefined;
}

/** What was knocked with `?` for digits of a code becomes the ports that the code makes of it. */
function withCode(plan: Plan, code: string | undefined): Plan {
  const digits = digitsOf(plan.ports);
  if (code === undefined) {
    if (digits === 0) return plan;
    throw usage(
      `${digits} digits of a one-time code are missing: add --code, and what the authenticator shows`,
    );
  }
  if (digits === 0) throw usage('these ports take no code: write "?" for its digits, or leave --code out');
  const ports = knocksOf(plan.ports, code.replace(/[ -]/g, ''));
  if (ports !== undefined) return { ...plan, ports };
  throw usage(
    `the code is not of ${digits} digits: write what the authenticator shows, such as ${'49139586'.slice(0, digits)}`,
  );
}

/** Reads `7000`, `7000/tcp`, and knock's `8000:udp`; a port that names no protocol is `protocol`. */
export function parseKnock(text: string, protocol: Protocol): PortSpec | undefined {
  const spec = parseStep(text.toLowerCase().replace(':', '/'));
  return spec !== undefined && /^[\d?]+$/.test(text) ? { ...spec, protocol } : spec;
}

async function planOf(
  ports: readonly string[],
  options: KnockOptions,
  profile: Profile | undefined,
): Promise<Plan> {
  const delay = options.delay === undefined ? undefined : delayOf(options.delay);
  // A configuration that is named is meant.
  if (profile !== undefined && profile.knock.length > 0 && options.config === CONFIG_FILE) {
    const { door } = options;
    if (door !== undefined && profile.doors.length > 0 && !profile.doors.includes(door))
      throw usage(`the profile is of the door ${profile.doors.join(', ')}: name another with -c FILE`);
    return { ports: profile.knock, delay: delay ?? DELAY_MS };
  }
  if (options.door !== undefined) {
    if (ports.length > 0)
      throw usage('--door takes the sequence from the configuration: leave the ports out, or --door');
    return planOfDoor(options.door, options.config, delay);
  }
  if (ports.length === 0)
    throw usage(
      'no ports: name them in order, such as 7000 8000/udp 9000, use --door NAME -c FILE, or keep a profile of this host',
    );
  const protocol = options.udp ? 'udp' : 'tcp';
  return {
    ports: ports.map((text) => parseKnock(text, protocol) ?? badPort(text)),
    delay: delay ?? DELAY_MS,
  };
}

function badPort(text: string): never {
  throw usage(`${quoted(text)} is no port: write 1 to 65535, with /tcp or /udp where it matters`);
}

function delayOf(text: string): number {
  const delay = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (delay <= DELAY_MS_MAX) return delay;
  throw usage(`${quoted(text)} is no delay: write milliseconds, 0 to ${DELAY_MS_MAX}`);
}

/** The sequence of a door, paced as slowly as its shortest gap asks and no slower than its longest allows. */
async function planOfDoor(name: string, file: string, asked: number | undefined): Promise<Plan> {
  const { loadConfig } = await import('../../config/load.ts');
  const loaded = await loadConfig(file);
  if (!loaded.ok) {
    for (const fault of loaded.faults) process.stderr.write(`${formatFault(fault)}\n`);
    throw new CommandFailure(EXIT.config, `${file} can't be used: correct it (nfknock check)`);
  }
  const { doors } = loaded.config;
  const door = doors.find((each) => each.name === name);
  if (door === undefined) {
    throw usage(`${file} has no door ${quoted(name)}; it has ${doors.map((each) => each.name).join(', ')}`);
  }
  if ('oneTime' in door.knock) {
    throw usage(`the door ${name} has one-time sequences: name the ports of its next unused line`);
  }
  if (door.knock.length === 0) throw usage(`the door ${name} opens by key alone: knock with a key of it`);
  const { min, max } = door.gap;
  const delay = Math.max(
    asked ?? DELAY_MS,
    min === 0 ? 0 : Math.ceil(min + Math.max(GAP_SPARE.least, min * GAP_SPARE.share)),
  );
  const longest = Math.min(
    max,
    withinOf(door.within, door.knock.length) / Math.max(1, door.knock.length - 1),
  );
  if (asked !== undefined && asked > longest)
    throw usage(`--delay ${asked} is too slow for the door ${name}: at most ${Math.floor(longest)}`);
  return { ports: door.knock, delay: Math.min(delay, longest) };
}

async function knock(address: string, plan: Plan, tell: (spec: PortSpec) => void): Promise<void> {
  for (const [index, spec] of plan.ports.entries()) {
    if (index > 0 && plan.delay > 0) await setTimeout(plan.delay);
    tell(spec);
    try {
      await (spec.protocol === 'tcp'
        ? sendSyn(address, spec.port)
        : sendDatagram(address, spec.port, Uint8Array.of(0)));
    } catch (error) {
      throw new CommandFailure(
        EXIT.failed,
        `${formatPort(spec)} of ${address} could not be knocked at (${codeOf(error)}): check the address, the route and this machine's firewall`,
      );
    }
  }
}

/**
 * Begins a connection and abandons it once the kernel has sent the SYN, which a non-blocking connect(2) does
 * before it returns. Node calls connect(2) in the next tick, so one turn of the loop is enough; closing the
 * socket then keeps the kernel from sending the SYN again, and the next knock from overtaking it.
 */
async function sendSyn(host: string, port: number): Promise<void> {
  let failure: NodeJS.ErrnoException | undefined;
  const socket = connect({ host, port });
  socket.on('error', (error) => {
    failure = error;
  });
  await setImmediate();
  socket.destroy();
  if (failure !== undefined && !ANSWERS.has(failure.code ?? '')) throw failure;
}
