import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/config/parse.ts';
import { formatPort, type PortSpec } from '../../src/packet/port.ts';
import { ROOT } from '../support/root.ts';
import { temporaryFolder } from '../support/scratch.ts';

/* The real package, installed by the real dpkg over what this machine has, in a layer that is thrown away. */

const LONG = 240_000;
const CONFIG = '/etc/nfknock/nfknock.yaml';
/** Node.js need not be a package here. */
const INSTALL = 'dpkg --no-triggers --force-depends -i /root/nfknock.deb';
const SHOW = `echo "== $(stat -c '%a %U %G' ${CONFIG} 2>&1)"; cat ${CONFIG} || true; echo == end`;

const folder = temporaryFolder();
let deb: string;

beforeAll(() => {
  const made = spawnSync('bash', [join(ROOT, 'scripts/package.sh'), '--built', folder], { encoding: 'utf8' });
  expect([made.status, made.stderr]).toEqual([0, '']);
  deb = join(folder, readdirSync(folder).find((name) => name.endsWith('.deb')) ?? '');
}, LONG);

/** Runs shell on a copy of this machine's disk that has the package's file in /root. */
function onMachine(script: string): SpawnSyncReturns<string> {
  const layers = temporaryFolder();
  const enter = `
    mount -t tmpfs tmpfs "$1"; mkdir "$1/upper" "$1/work" "$1/root"
    mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
    for each in dev proc; do mount --rbind "/$each" "$1/root/$each"; done
    for each in run tmp; do mount -t tmpfs tmpfs "$1/root/$each"; done
    cp "$2" "$1/root/root/nfknock.deb"
    exec chroot "$1/root" sh -ec "export DEBIAN_FRONTEND=noninteractive; $3"`;
  const args = ['--mount', '--propagation', 'private', 'sh', '-ec', enter, 'sh', layers, deb, script];
  const done = spawnSync('unshare', args, { encoding: 'utf8', env: { PATH: process.env['PATH'] } });
  if (done.status !== 0) throw new Error(`${script}: ${done.stderr}${done.stdout}`);
  return done;
}

/** The configurations that a script has shown, each with its mode and owner. */
function shown(stdout: string): readonly { readonly mode: string; readonly text: string }[] {
  return stdout
    .split(/^== /m)
    .slice(1)
    .filter((each) => !each.startsWith('end\n'))
    .map((each) => ({ mode: each.slice(0, each.indexOf('\n')), text: each.slice(each.indexOf('\n') + 1) }));
}

function knockOf(text: string): readonly PortSpec[] {
  const loaded = parseConfig(text, 'package');
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.faults));
  const { knock } = loaded.config.doors[0] ?? {};
  if (!Array.isArray(knock)) throw new Error('the first door has no sequence');
  return knock as readonly PortSpec[];
}

describe('the package', { timeout: LONG }, () => {
  // Against: knocking as everybody can read it in the package's configuration
  // by: no package holds a knock; each installation draws its own
  it('draws a knock at each first installation, told nowhere but in the configuration', () => {
    const { stdout } = onMachine(`
      ${INSTALL} >/said 2>&1; ${SHOW}; dpkg -P nfknock
      ${INSTALL} >>/said 2>&1; ${SHOW}; echo == log; cat /said
      echo == template; dpkg-deb --fsys-tarfile /root/nfknock.deb | tar -xO ./usr/share/nfknock/nfknock.yaml
      echo == check; nfknock check 2>&1`);
    const [first, second, log, template, check] = shown(stdout);
    expect([first?.mode, second?.mode]).toEqual(['640 root nfknock', '640 root nfknock']);
    const knocks = [first, second].map((each) => knockOf(each?.text ?? ''));
    expect(knocks.map((knock) => knock.length)).toEqual([4, 4]);
    expect(knocks[0]).not.toEqual(knocks[1]);
    expect(log?.text).toContain(`your knock is in ${CONFIG}`);
    for (const step of knocks.flat()) expect(log?.text).not.toContain(formatPort(step));
    expect(template?.text).toContain('knock: [@KNOCK@]');
    // How strong it is depends on the policy of INPUT here; that it is a known one is never said.
    expect(check?.text).toContain('in time');
    expect(check?.text).not.toContain('published example');
  });

  it.each([
    ['accepts', 'closed', ''],
    ['drops', 'drop', 'iptables -P INPUT DROP; ip6tables -P INPUT DROP;'],
  ])('is strong where INPUT %s what nobody named', (_, answer, policy) => {
    // In a network of its own: the machine's policy is not touched.
    const { stdout } = onMachine(`
      rm -rf /var/lib/nfknock
      unshare -n sh -ec 'ip link set lo up; ${policy} ${INSTALL} >/dev/null 2>&1; nfknock check --strict; echo == rc $?'
      ${SHOW}`);
    expect(stdout).toContain('== rc 0');
    expect(stdout).toContain('door ssh: strong');
    expect(stdout).toContain(`answer: ${answer}\n`);
  });

  it('leaves a configuration that is there, and one that was deleted, as it was', () => {
    const own = 'doors: { own: { knock: [7301/tcp, 8301/udp], opens: [22/tcp] } }';
    const { stdout } = onMachine(`
      mkdir /etc/nfknock; echo '${own}' >${CONFIG}
      ${INSTALL}; ${SHOW}
      echo '# mine' >>${CONFIG}; ${INSTALL}; ${SHOW}
      dpkg -r nfknock; ${SHOW}; ${INSTALL}; ${SHOW}
      rm ${CONFIG}; ${INSTALL}; ${SHOW}`);
    const mode = '640 root nfknock';
    const [before, ...after] = shown(stdout).map((each) => ({
      ...each,
      text: each.text.split('\n').slice(0, 2),
    }));
    expect(before).toEqual({ mode, text: [own, expect.any(String)] });
    expect(after.slice(0, 3)).toEqual(Array(3).fill({ mode, text: [own, '# mine'] }));
    expect(after[3]?.mode).toContain('No such file');
  });

  it('purged leaves nothing of its own, and what the owner has put beside it', () => {
    const find = `find /etc /usr /var -xdev -name '*nfknock*' -not -path '/var/lib/dpkg/*' -not -path '${ROOT}/*'`;
    const { stdout } = onMachine(`
      ${find} | sort >/before
      ${INSTALL}; echo s >/etc/nfknock/keys.yaml; dpkg -P nfknock
      ${find} | sort >/after; echo == gone; comm -13 /before /after; echo == end
      ${INSTALL}; echo s >/etc/nfknock/ssh.knock; dpkg -P nfknock; echo == beside; ls -A /etc/nfknock`);
    const [gone, beside] = shown(stdout);
    expect(gone?.text).toBe('');
    expect(beside?.text).toBe('ssh.knock\n');
  });
});

describe('the package that carries its own Node.js', { timeout: LONG }, () => {
  const arch = process.arch === 'x64' ? 'amd64' : 'arm64';

  /** What scripts/natives.sh makes, but for Node.js, in whose place this one is called: 100 MB take a minute to pack. */
  function natives(): string {
    const place = temporaryFolder();
    const shell = `#!/bin/sh\nexec ${process.execPath} "$@"\n`;
    writeFileSync(join(place, 'node'), shell, { mode: 0o755 });
    const modules = join(ROOT, 'node_modules');
    copyFileSync(
      join(modules, 'better-sqlite3/build/Release/better_sqlite3.node'),
      join(place, 'better_sqlite3.node'),
    );
    copyFileSync(join(ROOT, 'native/build/Release/nfqueue.node'), join(place, 'nfqueue.node'));
    writeFileSync(join(place, 'LICENSE'), 'The licence of Node.js\n');
    writeFileSync(join(place, 'libraries'), 'libatomic1, libc6 (>= 2.28)\n');
    return place;
  }

  function build(): readonly string[] {
    const into = temporaryFolder();
    const args = [join(ROOT, 'scripts/package.sh'), '--built', '--carry', arch, natives(), into];
    const made = spawnSync('bash', args, { encoding: 'utf8' });
    expect([made.status, made.stderr]).toEqual([0, '']);
    return readdirSync(into)
      .toSorted()
      .map((name) => join(into, name));
  }

  it('is the same byte for byte each time, needs no Node.js, and has its licence and a tarball of the same', () => {
    const [tarball = '', file = ''] = build();
    const again = build();
    for (const [at, each] of [tarball, file].entries())
      expect(readFileSync(again[at] ?? '').equals(readFileSync(each))).toBe(true);
    const of = (...args: readonly string[]): string => {
      const { stdout, stderr } = spawnSync(args[0] ?? '', args.slice(1), {
        encoding: 'utf8',
        maxBuffer: 1e8,
      });
      expect(stderr).toBe('');
      return stdout;
    };
    expect(of('dpkg-deb', '-f', file, 'Depends')).toBe('iptables, ipset, libatomic1, libc6 (>= 2.28)\n');
    const unpacked = temporaryFolder();
    of('dpkg-deb', '-x', file, unpacked);
    of('tar', '-C', unpacked, '-xf', tarball);
    const [top = ''] = readdirSync(unpacked).filter((name) => name.startsWith('nfknock-'));
    expect(of('diff', '-r', join(unpacked, 'usr'), join(unpacked, top, 'usr'))).toBe('');
    const terms = (name: string): string =>
      readFileSync(join(unpacked, 'usr/share/doc/nfknock', name), 'utf8');
    expect(terms('third-party-licences.txt')).toContain('The licence of Node.js');
    expect(terms('copyright')).toMatch(/^MIT License\n/);
    for (const name of ['Node.js', 'better-sqlite3', 'winston', 'echarts', '@opentelemetry/api'])
      expect(terms('copyright')).toContain(`\n  ${name} `);
    expect(readFileSync(join(unpacked, 'usr/bin/nfknock'), 'utf8')).toContain('/usr/lib/nfknock/node');
  });

  it.each([
    [['riscv64', '/tmp/nothing'], /natives: unknown architecture riscv64: write amd64 or arm64/],
    [[], /natives: name amd64 or arm64/],
  ])('is built for what it can be built for: %j', (args, said) => {
    const { status, stderr } = spawnSync('bash', [join(ROOT, 'scripts/natives.sh'), ...args], {
      encoding: 'utf8',
    });
    expect(status).toBe(1);
    expect(stderr).toMatch(said);
  });
});

describe('a knock that is drawn', () => {
  it('is of four ports that a scan does not meet in its order, and from which nobody here asks', () => {
    const draw = join(ROOT, 'deploy/debian/draw-knock');
    const drawn = spawnSync('sh', ['-ec', `for n in $(seq 20); do ${draw}; done`], { encoding: 'utf8' });
    expect(drawn.stderr).toBe('');
    const knocks = drawn.stdout
      .trim()
      .split('\n')
      .map((line) => knockOf(`doors: { d: { knock: [${line}], opens: [22/tcp] } }`));
    expect(new Set(knocks.map((knock) => knock.map(formatPort).join())).size).toBe(20);
    for (const knock of knocks) {
      const ports = knock.map((step) => Number.parseInt(formatPort(step), 10));
      expect(new Set(ports).size).toBe(4);
      const rising = ports.toSorted((a, b) => a - b);
      expect(ports).not.toEqual(rising);
      expect(ports).not.toEqual(rising.toReversed());
      for (const port of ports) {
        expect(port).toBeGreaterThanOrEqual(1024);
        expect(port).toBeLessThan(32_768);
        expect([2323, 3389]).not.toContain(port);
      }
    }
    // Half of them in each half: a draw that favours some ports is a weaker secret.
    const all = knocks.flat().map((step) => Number.parseInt(formatPort(step), 10));
    const low = all.filter((port) => port < 16_896).length;
    expect(low).toBeGreaterThan(20);
    expect(low).toBeLessThan(60);
  });
});
