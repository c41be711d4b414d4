import { systemClock } from '../../clock.ts';
import { encode } from '../../fleet/message.ts';
import { AHEAD_MAX } from '../../fleet/offset.ts';
import { type Connection, type Credentials, connect, factsOf } from '../../fleet/redis-connect.ts';
import { type Keys, keysOf } from '../../fleet/redis-keys.ts';
import { timeFrom } from '../../fleet/redis-replies.ts';
import { findServer } from '../../fleet/redis-sentinel.ts';
import type { Fleet } from '../../policy/fleet.ts';
import { sentenceOf } from '../../text/error.ts';

export interface EngineFinding {
  readonly code: string;
  readonly problem: string;
  readonly fix: string;
}

/** What was measured, for people and programs. */
type Facts = Readonly<Record<string, string | number>>;

/** A scattered knock would wait so long for the others. */
const ROUND_TRIP_MAX = 100;
/** The disk of `appendfsync always` has what it was given before the answer; of `everysec` it is asked once a second. */
const DISK_MS_MAX = 150;
/** Some forty questions; an engine that takes its time for each is as good as away. */
const PATIENCE_MS = 15_000;
const TRIES = 5;
const DISK_TRIES = 4;
/** A member's name that nobody has: it begins with what no name begins with. */
const NOBODY = '-';

export async function examineEngine(
  fleet: Fleet,
  login: Credentials,
): Promise<{ readonly findings: readonly EngineFinding[]; readonly facts: Facts }> {
  let connection: Connection;
  let stranger: readonly EngineFinding[];
  try {
    const server = await findServer(fleet.engine, login.ca);
    stranger = await ofStranger(server, login.ca);
    connection = await connect(server, login, login.ca, () => undefined);
  } catch (error) {
    return { findings: [ofConnection(sentenceOf(error), login.name)], facts: {} };
  }
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const reason = `all that it was asked took more than ${PATIENCE_MS / 1000} s`;
    timer = setTimeout(() => reject(new Error(reason)), PATIENCE_MS);
  });
  try {
    return await Promise.race([examine(connection, fleet, stranger), late]);
  } catch (error) {
    return { findings: [...stranger, ofConnection(sentenceOf(error), login.name)], facts: {} };
  } finally {
    clearTimeout(timer);
    connection.close();
  }
}

function ofConnection(reason: string, name: string): EngineFinding {
  if (/^(WRONGPASS|NOAUTH|NOPERM)/.test(reason))
    return {
      code: 'fleet-login',
      problem: `the engine refuses ${name} (${reason})`,
      fix: `load what "nfknock fleet users ${name}" prints`,
    };
  return {
    code: 'fleet-engine',
    problem: `the engine does not answer: ${reason}`,
    fix: 'start it, or correct fleet.engine and fleet.ca; doors and bans go on here meanwhile',
  };
}

/** Whoever reaches the engine without a login would be any member. */
async function ofStranger(
  server: Parameters<typeof connect>[0],
  ca: string | null,
): Promise<readonly EngineFinding[]> {
  try {
    const anybody = await connect(server, null, ca, () => undefined);
    try {
      await anybody.send(['PING']);
    } finally {
      anybody.close();
    }
  } catch {
    return [];
  }
  const problem = 'the engine takes anyone who connects, without a login';
  return [
    { code: 'fleet-default-user', problem, fix: 'make a user for its owner, then: ACL SETUSER default off' },
  ];
}

async function examine(
  connection: Connection,
  { name, group, copies }: Fleet,
  stranger: readonly EngineFinding[],
): Promise<{ readonly findings: readonly EngineFinding[]; readonly facts: Facts }> {
  const findings = [...stranger];
  const found = (code: string, problem: string, fix: string): void =>
    void findings.push({ code, problem, fix });
  const info = String(await connection.send(['INFO']));
  const { version, isValkey, isPrimary, appendOnly, waitsForDisk, replicas } = factsOf(info);
  const clock = await clockOf(connection);
  const facts: Facts = {
    version: `${isValkey ? 'Valkey' : 'Redis'} ${version}`,
    'round trip ms': Math.round(clock.roundTrip * 100) / 100,
    'clock offset ms': Math.round(clock.offset),
    replicas,
  };
  if (!/^([7-9]|\d\d)\./.test(version))
    found('fleet-version', `the engine is version ${version}`, 'install Redis 7.0, Valkey 8 or a later one');
  if (!isPrimary)
    found(
      'fleet-replica',
      'the engine is a replica, which takes no writes',
      'name the primary, or the Sentinels that know it',
    );
  if (Math.abs(clock.offset) > AHEAD_MAX)
    found(
      'fleet-clock',
      `this machine's clock is ${Math.round(clock.offset / 1000)} s off the engine's`,
      'let both synchronise their clocks; times in the log would differ',
    );
  if (clock.roundTrip > ROUND_TRIP_MAX)
    found('fleet-slow', `an answer takes ${Math.round(clock.roundTrip)} ms`, 'put the engine nearer');
  if (!appendOnly)
    found(
      'fleet-log',
      'the engine keeps no log, so a restart forgets what was used once',
      'set appendonly yes and appendfsync always',
    );
  const policy = /^maxmemory_policy:(\S+)/m.exec(info)?.[1] ?? 'unknown';
  if (policy !== 'noeviction')
    found(
      'fleet-eviction',
      `the engine may forget what it holds (maxmemory-policy ${policy})`,
      'set maxmemory-policy noeviction',
    );
  if (replicas < copies)
    found(
      'fleet-replicas',
      `${replicas} replicas are connected, and fleet.copies is ${copies}: one-time doors stay shut`,
      'connect them, or lower fleet.copies',
    );
  const missing = [
    ...(await refusals(connection, rightsOf(group, name))),
    ...(await refusalsOfUse(connection, keysOf(group), name)),
  ];
  for (const reason of missing)
    found(
      'fleet-rights',
      `the engine refuses ${name} (${reason})`,
      `load what "nfknock fleet users ${name}" prints`,
    );
  const tooWide = tooWideRights(group);
  if ((await refusals(connection, tooWide)).length < tooWide.length)
    found(
      'fleet-rights-wide',
      `the engine lets ${name} write what other members say`,
      `load what "nfknock fleet users ${name}" prints, which begins with reset`,
    );
  if (missing.length === 0) {
    const members = await connection.send(['SMEMBERS', keysOf(group).members]);
    const names = members instanceof Set ? [...members] : Array.isArray(members) ? members : [];
    if (!names.includes(name))
      found(
        'fleet-unlisted',
        `${name} is not among the members of ${group}, so the others do not see it`,
        `load all that "nfknock fleet users ${name}" prints`,
      );
    if (
      appendOnly &&
      waitsForDisk &&
      (await diskMs(connection, keysOf(group).registers(name, 'bans'))) > DISK_MS_MAX
    )
      found(
        'fleet-fsync',
        'the engine may forget marks at a loss of power: appendfsync is not always',
        'set appendfsync always',
      );
  }
  return { findings, facts };
}

async function clockOf(
  connection: Connection,
): Promise<{ readonly offset: number; readonly roundTrip: number }> {
  let best = { offset: 0, roundTrip: Number.POSITIVE_INFINITY };
  for (let count = 0; count < TRIES; count += 1) {
    const sent = performance.now();
    const time = timeFrom(await connection.send(['TIME']));
    const roundTrip = performance.now() - sent;
    if (roundTrip < best.roundTrip) best = { roundTrip, offset: systemClock.wall() - roundTrip / 2 - time };
  }
  return best;
}

/** One of each right that can be tried without anybody's seeing it. */
function rightsOf(group: string, name: string): readonly (readonly string[])[] {
  const keys = keysOf(group);
  return [
    ['HDEL', keys.registers(name, 'bans'), ''],
    ['HDEL', keys.registers(name, 'grants'), ''],
    ['XTRIM', keys.stream(name), 'MAXLEN', '~', '10000'],
    ['XRANGE', keys.stream(NOBODY), '-', '+', 'COUNT', '1'],
    ['XREVRANGE', keys.stream(NOBODY), '+', '-', 'COUNT', '1'],
    ['HSCAN', keys.registers(NOBODY, 'bans'), '0'],
    ['HLEN', keys.registers(NOBODY, 'grants')],
    ['HGET', keys.mark({ of: 'used', name: NOBODY }), ''],
    ['HGET', keys.mark({ of: 'spa', name: NOBODY }), ''],
    ['HGET', keys.mark({ of: 'code', name: NOBODY }), ''],
    ['HSCAN', keys.mark({ of: 'used', name: NOBODY }), '0'],
    ['EXPIRE', keys.mark({ of: 'spa', name: NOBODY }), '1', 'NX'],
    ['EXPIRE', keys.mark({ of: 'code', name: NOBODY }), '1', 'NX'],
    ['MGET', keys.presence(NOBODY)],
    ['SMEMBERS', keys.members],
    ['WAIT', '0', '1'],
  ];
}

/** What a member does, in a way that changes nothing: whose rights an earlier version printed may lack some. */
async function refusalsOfUse(connection: Connection, keys: Keys, name: string): Promise<readonly string[]> {
  const bans = keys.registers(name, 'bans');
  const nothing = { kind: 'amnesty', number: 0, time: 0, records: [{ kind: 'amnesty', gen: 0 }] } as const;
  const who = keys.presence(name);
  const isThere = async (): Promise<boolean> => {
    const found = await connection.send(['MGET', who]);
    return Array.isArray(found) && found[0] !== null;
  };
  const tries: Readonly<Record<string, () => Promise<unknown>>> = {
    HSET: () => writeNothing(connection, bans),
    // Of a stream that is not there nothing, and of one that is, an entry that comes too late.
    XADD: () => connection.send(['XADD', keys.stream(name), 'NOMKSTREAM', '0-1', 'e', '']),
    SET: async () => connection.send(['SET', who, '', (await isThere()) ? 'NX' : 'XX']),
    PUBLISH: () => connection.send(['PUBLISH', keys.channel(name), Buffer.from(encode(nothing))]),
    PSUBSCRIBE: () => connection.subscribe(keys.channel('*'), () => undefined),
  };
  return (await reasonsOf(Object.entries(tries))).filter((reason) => /NOPERM/.test(reason));
}

/** What no member may do, tried where it would change nothing. */
function tooWideRights(group: string): readonly (readonly string[])[] {
  const keys = keysOf(group);
  return [
    ['HDEL', keys.registers(NOBODY, 'bans'), ''],
    ['XTRIM', keys.stream(NOBODY), 'MAXLEN', '~', '10000'],
    ['HDEL', keys.mark({ of: 'used', name: NOBODY }), ''],
    ['CONFIG', 'GET', 'maxmemory'],
  ];
}

/** What the engine says to those that it refuses. */
async function refusals(
  connection: Connection,
  commands: readonly (readonly string[])[],
): Promise<readonly string[]> {
  return reasonsOf(commands.map((command) => [command[0] ?? '', () => connection.send(command)] as const));
}

/** Of those that fail, one after the other: what was tried, and why it failed. */
async function reasonsOf(
  tries: readonly (readonly [string, () => Promise<unknown>])[],
): Promise<readonly string[]> {
  const reasons: string[] = [];
  for (const [what, attempt] of tries) {
    try {
      await attempt();
    } catch (error) {
      reasons.push(`${what}: ${sentenceOf(error)}`);
    }
  }
  return reasons;
}

/** A write that nobody sees: a row that is there and gone in one transaction. */
function writeNothing(connection: Connection, key: string): Promise<unknown> {
  return connection.transact([
    ['HSET', key, NOBODY, ''],
    ['HDEL', key, NOBODY],
  ]);
}

/** How long the disk takes for a write that nobody sees. */
async function diskMs(connection: Connection, key: string): Promise<number> {
  let longest = 0;
  for (let count = 0; count < DISK_TRIES; count += 1) {
    await writeNothing(connection, key);
    const began = performance.now();
    await connection.send(['WAITAOF', '1', '0', `${4 * DISK_MS_MAX}`]);
    longest = Math.max(longest, performance.now() - began);
  }
  return longest;
}
