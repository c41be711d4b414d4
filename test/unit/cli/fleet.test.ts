import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createConnection, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { command, type FleetOptions } from '../../../src/cli/commands/fleet.ts';
import { EXIT, type ExitCode } from '../../../src/cli/exit.ts';
import { accessCommands } from '../../../src/fleet/access.ts';
import { until } from '../../support/buses.ts';
import { MEMBER_PASSWORD, startRedis, type TestRedis } from '../../support/redis.ts';
import { ROOT } from '../../support/root.ts';
import { temporaryFolder } from '../../support/scratch.ts';

// A server of a busy machine takes its time to start.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let folder = '';
let config = '';
let file = '';
let out = '';
let said = '';
const ends: (() => Promise<void>)[] = [];

beforeEach(() => {
  folder = temporaryFolder();
  [config, file] = [join(folder, 'nfknock.yaml'), join(folder, 'password')];
  configure('unix:/nowhere/redis.sock');
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    out += String(text);
    return true;
  });
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    said += String(text);
    return true;
  });
  [out, said] = ['', ''];
});
afterEach(async () => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  for (const end of ends.splice(0)) await end();
});

function configure(engine: string, more = ''): void {
  writeFileSync(
    config,
    `doors: { ssh: { knock: [7000, 8000/udp, 9000], opens: [22] } }\nfleet: { name: edge1, engine: "${engine}", password: ${file}${more} }\n`,
  );
}

const fleet = (words: string, options: Partial<FleetOptions> = {}): Promise<ExitCode> =>
  command(words.split(' ').filter(Boolean), { config, ...options });

async function engine(...lines: readonly string[]): Promise<TestRedis> {
  const redis = await startRedis({ members: ['edge1', 'edge2'], lines });
  ends.push(redis.kill);
  configure(`unix:${redis.address.path}`);
  writeFileSync(file, `${MEMBER_PASSWORD('edge1')}\n${'s'.repeat(32)}\n`, { mode: 0o600 });
  return redis;
}

const linesOf = (path: string): string[] => readFileSync(path, 'utf8').trimEnd().split('\n');

describe('fleet users', () => {
  // Against: reading passwords where rights are handed on
  // by: only hashes are printed, files are 0600
  it('makes a password file that nobody else can read, and prints what the engine is told: no secret', async () => {
    expect(await fleet('users edge1')).toBe(EXIT.done);
    expect((statSync(file).mode & 0o777).toString(8)).toBe('600');
    const [password = '', secret = '', ...more] = linesOf(file);
    expect([password.length, secret.length, more]).toEqual([43, 43, []]);
    const hash = createHash('sha256').update(password).digest('hex');
    expect(out).toMatch(new RegExp(`^ACL SETUSER edge1 reset on #${hash} resetchannels -@all \\+ping`));
    expect(out).toContain('(%W~nfk:main:who:edge1 +set)');
    expect(out).toContain('\nSADD nfk:main:members edge1\n');
    for (const each of [password, secret]) expect(out + said).not.toContain(each);
  });

  it('prints the same again for a file that is there, and changes nothing in it', async () => {
    await fleet('users edge1');
    const [first, text] = [out, readFileSync(file, 'utf8')];
    [out, said] = ['', ''];
    expect(await fleet('users edge1')).toBe(EXIT.done);
    expect([out, said, readFileSync(file, 'utf8')]).toEqual([first, '', text]);
  });

  it('gives each of several a password of its own, and one secret to all', async () => {
    expect(await fleet('users edge1 edge2', { group: 'lab', passwordFile: file })).toBe(EXIT.done);
    const [one, two] = [linesOf(`${file}.edge1`), linesOf(`${file}.edge2`)];
    expect(one[0]).not.toBe(two[0]);
    expect(one[1]).toBe(two[1]);
    expect(existsSync(file)).toBe(false);
    expect(out.match(/^ACL SETUSER edge[12] reset/gm)).toHaveLength(2);
    expect(out).toContain('SADD nfk:lab:members edge2');
    // A third one later gets the secret that there is.
    [out, said] = ['', ''];
    await fleet('users edge1 edge3', { passwordFile: file });
    expect(linesOf(`${file}.edge3`)[1]).toBe(one[1]);
  });

  it.each([
    ['users', {}, /name the members/],
    ['users Edge', {}, /can't be the name of a member/],
    [`users ${'e'.repeat(25)}`, {}, /can't be the name of a member/],
    ['users edge*', {}, /can't be the name of a member/],
    // Their rights would be gone, and with those of `default` all that the engine's log holds.
    ['users default', {}, /a user of the engine's own/],
    ['users edge2 admin', {}, /a user of the engine's own/],
    ['forget default', {}, /a user of the engine's own/],
    ['users edge1', { group: 'a b' }, /can't be the name of a member or a group/],
    ['users edge1', { user: 'x' }, /--user is not for "fleet users"/],
    ['check', { passwordFile: 'x' }, /--password-file is not for "fleet check"/],
    ['check edge1', {}, /leave "edge1" out/],
    ['forget', {}, /name one member/],
    ['forget a b', {}, /name one member/],
    ['dance', {}, /write check, users or forget/],
  ])('"fleet %s" with %j is wrong usage', async (words, options, reason) => {
    expect(await fleet(words, options)).toBe(EXIT.usage);
    expect(said).toMatch(reason);
    expect(out).toBe('');
  });

  it('makes another member a file of its own, and leaves that of this machine alone', async () => {
    await fleet('users edge1');
    const [own = '', secret] = linesOf(file);
    expect(said).toContain("the group's secret is new");
    [out, said] = ['', ''];
    expect(await fleet('users edge2')).toBe(EXIT.done);
    const [password = '', shared] = linesOf(`${file}.edge2`);
    expect(shared).toBe(secret);
    expect(password).not.toBe(own);
    expect(out).toContain(`edge2 reset on #${createHash('sha256').update(password).digest('hex')} `);
    expect(said).not.toContain('secret is new');
  });

  it('says nothing for a group that it cannot know, since the configuration is wrong', async () => {
    writeFileSync(config, 'doors: {}\nfleet: { name: edge1, engine: nowhere, group: lab }\n');
    expect([await fleet('users edge1'), out]).toEqual([EXIT.config, '']);
    expect(existsSync(file)).toBe(false);
    expect(await fleet('users edge1', { group: 'lab', passwordFile: file })).toBe(EXIT.done);
  });

  it('stops at a file that others can read, and repeats none of it', async () => {
    writeFileSync(file, `tr0ub4dor\n${'s'.repeat(32)}\n`);
    chmodSync(file, 0o644);
    expect(await fleet('users edge1')).toBe(EXIT.failed);
    expect(said).toMatch(/read or changed by others \(0644\); chmod 0600/);
    expect(out + said).not.toContain('tr0ub4dor');
  });
});

describe('fleet check', () => {
  const codes = (): string[] =>
    (JSON.parse(out) as { findings: { code: string }[] }).findings.map(({ code }) => code).sort();

  it('finds nothing at an engine that is as docs/fleet.md makes it, and says what it measured', async () => {
    await engine();
    expect(await fleet('check')).toBe(EXIT.done);
    expect(out).toMatch(
      /^engine: unix:\S+redis\.sock, version Redis 7\.\S+, round trip ms [\d.]+, clock offset ms -?\d+, replicas 0$/m,
    );
    expect(out).toContain('No problem was found.');
    expect(out).toContain('net.ipv6.fib_multipath_hash_policy=3');
  });

  it('names each thing that is wrong with an engine', async () => {
    const redis = await engine('appendonly no', 'maxmemory-policy allkeys-lru');
    configure(`unix:${redis.address.path}`, ', copies: 2');
    const admin = await redis.admin();
    await admin.send(['SREM', 'nfk:main:members', 'edge1']);
    await admin.send(['ACL', 'SETUSER', 'default', 'on', 'nopass']);
    expect(await fleet('check', { json: true })).toBe(EXIT.failed);
    expect(codes()).toEqual([
      'fleet-default-user',
      'fleet-eviction',
      'fleet-log',
      'fleet-replicas',
      'fleet-unlisted',
    ]);
    out = '';
    await admin.send(['ACL', 'SETUSER', 'edge1', '+@all', '~*']);
    await fleet('check', { json: true });
    expect(codes()).toContain('fleet-rights-wide');
    out = '';
    await admin.send([
      'ACL',
      'SETUSER',
      'edge1',
      'clearselectors',
      'resetkeys',
      '-@all',
      '+ping',
      '+info',
      '+time',
      '+hello',
      '+client|setname',
    ]);
    await fleet('check', { json: true });
    expect(codes()).toContain('fleet-rights');
    admin.close();
  });

  it.each([
    'xadd',
    'xtrim',
    'xrange',
    'xrevrange',
    'hset',
    'hdel',
    'hget',
    'hscan',
    'expire',
    'set',
    'mget',
    'smembers',
    'publish',
    'psubscribe',
    'wait',
  ])(
    'misses the right to %s, which an earlier version may not have printed, and changes nothing',
    async (word) => {
      const redis = await engine();
      const admin = await redis.admin();
      ends.push(async () => admin.close());
      const access = { name: 'edge1', group: 'main', password: MEMBER_PASSWORD('edge1') };
      const [rules = ''] = accessCommands(access);
      await admin.send(rules.replaceAll(new RegExp(` \\+${word}(?= |\\)|$)`, 'gm'), '').split(' '));
      await admin.send(['SET', 'nfk:main:who:edge1', '{"said":1}']);
      await admin.send(['XADD', 'nfk:main:s:edge1', '*', 'e', 'x']);
      expect(await fleet('check', { json: true })).toBe(EXIT.failed);
      expect(codes()).toContain('fleet-rights');
      expect(out.toUpperCase()).toContain(word.toUpperCase());
      expect(await admin.send(['GET', 'nfk:main:who:edge1'])).toBe('{"said":1}');
      expect(await admin.send(['XLEN', 'nfk:main:s:edge1'])).toBe(1);
      expect(await admin.send(['EXISTS', 'nfk:main:b:edge1'])).toBe(0);
    },
  );

  it('says that the engine is away, or refuses this member', async () => {
    writeFileSync(file, `wrong\n${'s'.repeat(32)}\n`, { mode: 0o600 });
    expect(await fleet('check')).toBe(EXIT.failed);
    expect(out).toMatch(
      /problem: the engine does not answer: connect ENOENT .* \(fleet-engine\)\n {4}fix: start it/,
    );
    const redis = await engine();
    writeFileSync(file, `wrong\n${'s'.repeat(32)}\n`, { mode: 0o600 });
    out = '';
    expect(await fleet('check')).toBe(EXIT.failed);
    expect(out).toMatch(
      /the engine refuses edge1 \(WRONGPASS .* \(fleet-login\)\n {4}fix: load what "nfknock fleet users edge1" prints/,
    );
    await redis.kill();
  });

  it('ends with 3 where this machine is alone, or has no password', async () => {
    expect(await fleet('check')).toBe(EXIT.config);
    expect(said).toMatch(/there is no such file.*nfknock fleet users edge1/);
    writeFileSync(config, 'doors: { ssh: { knock: [7000, 8000], opens: [22] } }\n');
    said = '';
    expect(await fleet('check')).toBe(EXIT.config);
    expect(said).toMatch(/has no section fleet: this machine is alone/);
  });
});

describe('fleet check of an engine that is not well', () => {
  const served = async (serve: (socket: Socket) => void): Promise<void> => {
    const server = createServer(serve);
    server.listen(join(folder, 'bus.sock'));
    await once(server, 'listening');
    ends.push(async () => void server.close());
    configure(`unix:${join(folder, 'bus.sock')}`);
    writeFileSync(file, `${MEMBER_PASSWORD('edge1')}\n${'s'.repeat(32)}\n`, { mode: 0o600 });
  };

  it('has an end where each answer takes its time', async () => {
    const { address } = await engine();
    await served((socket) => {
      const to = createConnection(address.path);
      const end = (): void => {
        socket.destroy();
        to.destroy();
      };
      for (const each of [socket, to]) each.on('error', end).on('close', end);
      socket.pipe(to);
      to.on('data', (data) => setTimeout(() => socket.destroyed || socket.write(data), 1_500));
    });
    const began = performance.now();
    expect(await fleet('check')).toBe(EXIT.failed);
    expect(performance.now() - began).toBeLessThan(40_000);
    expect(out).toMatch(/does not answer: all that it was asked took more than 15 s \(fleet-engine\)/);
  });

  it.each([
    ['a web server', 'HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n'],
    ['something else', '\u0000\u0001\u0002 who are you\r\n'],
    ['one that says OK to everything', '+OK\r\n'],
  ])('says that it does not answer where it is %s', async (_, answer) => {
    await served((socket) => void socket.on('error', () => undefined).on('data', () => socket.write(answer)));
    expect(await fleet('check')).toBe(EXIT.failed);
    expect(out).toMatch(/^problem: .*\n {4}fix: /m);
  });
});

describe('what fleet users prints', () => {
  it('is taken by redis-cli, and makes members of whom fleet check finds nothing wrong', async () => {
    const redis = await startRedis();
    ends.push(redis.kill);
    configure(`unix:${redis.address.path}`);
    await fleet('users edge1');
    const environment = { ...process.env, REDISCLI_AUTH: 'the_owner_of_the_engine' };
    const answers = execFileSync('redis-cli', ['-s', redis.address.path, '--user', 'admin'], {
      input: out,
      env: environment,
      encoding: 'utf8',
    });
    // The last line is for later versions of Redis than Debian 12 has.
    expect(answers).toMatch(/^OK\n1\n(OK|(\(error\) )?ERR .*waitaof.*)\s*$/);
    out = '';
    expect(await fleet('check')).toBe(EXIT.done);
  });
});

it('the commands of docs/fleet.md make members at an engine of deploy/fleet, and write them down', async () => {
  const socket = join(folder, 'redis.sock');
  const acl = join(folder, 'fleet.acl');
  const hash = createHash('sha256').update('owner').digest('hex');
  const shipped = (name: string): string => readFileSync(join(ROOT, 'deploy/fleet', name), 'utf8');
  writeFileSync(acl, shipped('fleet.acl').replace(/#0{64}/, `#${hash}`));
  // Without TLS, which needs certificates.
  const conf = shipped('redis.conf')
    .replace(/^(tls-|bind ).*$/gm, '')
    .replace('/run/redis/redis.sock', socket)
    .replace('/etc/redis/fleet.acl', acl);
  writeFileSync(join(folder, 'redis.conf'), `${conf}\ndir ${folder}\nlogfile ""\n`);
  const start = async (): Promise<void> => {
    const server = spawn('redis-server', [join(folder, 'redis.conf')], { stdio: 'ignore' });
    ends.push(async () => void server.kill('SIGKILL'));
    await until(() => existsSync(socket), 'it listens');
  };
  await start();
  configure(`unix:${socket}`);
  await fleet('users edge1');
  writeFileSync(join(folder, 'users.txt'), out);
  const [commands = ''] =
    /^( *redis-cli .*\n)+/m.exec(readFileSync(join(ROOT, 'docs/fleet.md'), 'utf8')) ?? [];
  const typed = commands.replaceAll('/run/redis/redis.sock', socket);
  const env = { ...process.env, REDISCLI_AUTH: 'owner' };
  const said = execFileSync('bash', ['-c', typed], { cwd: folder, env, encoding: 'utf8' });
  expect(said.trim().split(/\n+/).at(-1)).toBe('OK');
  out = '';
  expect([await fleet('check'), out]).toEqual([EXIT.done, expect.stringContaining('No problem was found.')]);
  expect(readFileSync(acl, 'utf8')).toContain(`\nuser edge1 on`);
  expect(readFileSync(acl, 'utf8')).toContain('user default off');
});

describe('fleet forget', () => {
  it('takes away the login of a member and what it says, and leaves the marks that it set', async () => {
    const redis = await engine();
    const admin = await redis.admin();
    ends.push(async () => admin.close());
    await admin.send(['HSET', 'nfk:main:b:edge2', 'a', 'b']);
    await admin.send(['HSET', 'nfk:main:b:edge1', 'a', 'b']);
    await admin.send(['HSET', 'nfk:main:used:ssh', 'line', 'edge2 x']);
    // A member may not.
    expect(await fleet('forget edge2', { user: 'edge1', passwordFile: file })).toBe(EXIT.failed);
    expect(said).toMatch(/the engine refuses edge1 \(NOPERM/);
    vi.stubEnv('REDISCLI_AUTH', 'the_owner_of_the_engine');
    expect(await fleet('forget edge2', { user: 'admin' })).toBe(EXIT.done);
    expect(await admin.send(['KEYS', '*'])).toEqual(expect.not.arrayContaining(['nfk:main:b:edge2']));
    expect(await admin.send(['EXISTS', 'nfk:main:b:edge1', 'nfk:main:used:ssh'])).toBe(2);
    expect(await admin.send(['ACL', 'GETUSER', 'edge2'])).toBeNull();
    expect([...((await admin.send(['SMEMBERS', 'nfk:main:members'])) as Set<string> | string[])]).toEqual([
      'edge1',
    ]);
    said = '';
    expect(await fleet('forget edge2', { user: 'admin' })).toBe(EXIT.failed);
    expect(said).toMatch(/there is no member edge2/);
  });

  it('leaves a user who is no member, or one of another fleet, as it is', async () => {
    const redis = await engine();
    const admin = await redis.admin();
    ends.push(async () => admin.close());
    vi.stubEnv('REDISCLI_AUTH', 'the_owner_of_the_engine');
    await admin.send(['ACL', 'SETUSER', 'shop', 'on', '>x', '~*', '+@all']);
    expect(await fleet('forget shop', { user: 'admin' })).toBe(EXIT.failed);
    expect(said).toMatch(/there is no member shop/);
    // Of this fleet there is an entry of that name alone.
    await admin.send(['SADD', 'nfk:lab:members', 'edge2']);
    expect(await fleet('forget edge2', { user: 'admin', group: 'lab' })).toBe(EXIT.done);
    for (const user of ['shop', 'edge2', 'admin'])
      expect(await admin.send(['ACL', 'GETUSER', user])).not.toBeNull();
    await admin.send(['ACL', 'SETUSER', 'owner', 'on', '>the_owner_of_the_engine', '~*', '&*', '+@all']);
    expect(await fleet('forget owner', { user: 'owner' })).toBe(EXIT.usage);
    expect(await admin.send(['ACL', 'GETUSER', 'owner'])).not.toBeNull();
  });

  it('takes no password of a file that others can read', async () => {
    await engine();
    writeFileSync(file, 'the_owner_of_the_engine\n');
    chmodSync(file, 0o644);
    expect(await fleet('forget edge2', { user: 'admin', passwordFile: file })).toBe(EXIT.failed);
    expect(said).toMatch(/read or changed by others \(0644\); chmod 0600/);
    expect(out + said).not.toContain('the_owner');
  });
});
