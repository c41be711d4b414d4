import type { Connection, LetIn } from '../test/support/client.ts';
import type { Daemon, Line } from '../test/support/daemon.ts';
import { type Client, createNet, type Host, type Net } from '../test/support/net.ts';
import { DEMO_CONFIG, DEMO_YAML } from './demo-config.ts';

/*
 * Three machines made of network namespaces: a server with a service on port 22, its owner, and a stranger.
 * Everything is said as it happens, and checked: what is not as told makes the exit code 1.
 */

const SERVICE = 22;
const PORTS = ['7000', '8000:udp', '9000'];
const WRONG_PORTS = ['9000', '8000:udp', '7000', '9000'];
/** Milliseconds from the last knock to the connection. */
const OPEN_WITHIN = 50;
const ATTEMPTS = 3;
/** Milliseconds that a client waits for an answer. */
const PATIENCE = 700;

const colour = process.stdout.isTTY === true;
const paint = (code: number, text: string): string => (colour ? `\u001b[${code}m${text}\u001b[0m` : text);
let failures = 0;
let steps = 0;

// A reader that goes away (`npm run demo | head`) is no reason to leave something behind.
process.stdout.on('error', () => undefined);

const started = performance.now();
const net = await createNet();
try {
  await show(net);
} catch (error) {
  check(false, `The demo could not go on: ${error instanceof Error ? error.message : String(error)}`);
} finally {
  net.close();
}
const seconds = ((performance.now() - started) / 1_000).toFixed(0);
if (failures > 0) {
  say(paint(31, `\nNot everything was as told: ${failures} of the lines above begin with ✗.`));
  process.exitCode = 1;
} else {
  say(`\nEverything was as told. It took ${seconds} s, and nothing is left of it on this machine.`);
}

async function show({ server, clientA: owner, clientB: stranger }: Net): Promise<void> {
  say(paint(1, 'nfknock: a port that opens only for those who know the knock'));
  say(
    `\nA server, ${owner.server4}, has a service on port ${SERVICE}. nfknock guards it with this configuration:\n`,
  );
  for (const line of DEMO_YAML) say(paint(36, `    ${line}`));
  await server.listen(SERVICE);
  const daemon = await server.startDaemon(DEMO_CONFIG);

  await closed(owner);
  const connection = await knocked(server, owner, daemon);
  await closedAgain(owner, daemon, connection);
  await wrongKnocks(stranger, daemon);
  await scanned(stranger, daemon);
  await held(server);
  const exit = await daemon.stop();
  check(exit.code === 0, 'The daemon is told to stop, and stops.');
  check(
    !(await owner.canConnect(owner.server4, SERVICE, PATIENCE)),
    'Without it the port stays closed to newcomers.',
  );
}

async function closed(owner: Client): Promise<void> {
  title('The port is closed');
  command('nc -z -w 1', owner.server4, `${SERVICE}`);
  const answer = await owner.exec(['nc', '-z', '-w', '1', owner.server4, `${SERVICE}`]);
  check(answer.code !== 0, `${owner.source().v4} gets no answer, as if nothing were there.`);
}

async function knocked(server: Host, owner: Client, daemon: Daemon): Promise<Connection | undefined> {
  title('A knock opens it, for the knocker alone');
  command('knock', owner.server4, ...PORTS);
  const letIn = await knockAndConnect(owner);
  const address = owner.source().v4;
  await daemon.waitFor({ event: 'door.opened', source: address }).catch(() => undefined);
  for (const line of daemon.seen({ source: address })) event(line);
  const ms = letIn?.ms ?? Number.POSITIVE_INFINITY;
  check(
    ms <= OPEN_WITHIN,
    `${address} is connected ${ms.toFixed(0)} ms after its last knock; ${OPEN_WITHIN} are allowed.`,
  );
  check((await letIn?.echoes('hello')) === true, 'The service answers.');
  const rules = (await server.exec(['iptables', '-S'])).stdout.split('\n');
  const rule = rules.find((each) => each.includes(address));
  check(
    rule !== undefined,
    'In the kernel that is one rule, which ends by itself even if nfknock is killed:',
  );
  if (rule !== undefined) say(paint(36, `    ${rule}`));
  return letIn;
}

/** On a busy machine the owner itself may be held up; then it tries again, from another address. */
async function knockAndConnect(owner: Client): Promise<LetIn | undefined> {
  let letIn: LetIn | undefined;
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    if (attempt > 1) await owner.moveToFreshSource();
    letIn = await owner.runThenConnect(['knock', owner.server4, ...PORTS], owner.server4, SERVICE, PATIENCE);
    if (letIn !== undefined && letIn.ms <= OPEN_WITHIN) break;
  }
  return letIn;
}

async function closedAgain(owner: Client, daemon: Daemon, connection: Connection | undefined): Promise<void> {
  title('It closes again by itself; the open connection lives on');
  const source = owner.source().v4;
  const line = await daemon.waitFor({ event: 'door.closed', source }, 8_000).catch(() => undefined);
  if (line !== undefined) event(line);
  check(line?.reason === 'expired', 'Four seconds later the door is closed.');
  check(!(await owner.canConnect(owner.server4, SERVICE, PATIENCE)), 'A new connection gets no answer.');
  check((await connection?.echoes('still here')) === true, 'The old one still works.');
}

async function wrongKnocks(stranger: Client, daemon: Daemon): Promise<void> {
  title('A guesser is banned');
  const { v4: address } = await stranger.moveToFreshSource();
  command('knock', stranger.server4, ...WRONG_PORTS);
  await stranger.exec(['knock', '-d', '50', stranger.server4, ...WRONG_PORTS]);
  const ban = await daemon.waitFor({ event: 'ban.added', source: address }).catch(() => undefined);
  for (const line of daemon.seen({ source: address })) event(line);
  check(ban !== undefined, `${address} is banned at its third offence.`);
  await stranger.exec(['knock', stranger.server4, ...PORTS]);
  check(
    !(await stranger.canConnect(stranger.server4, SERVICE, PATIENCE)),
    'Now even the right knock does not help it.',
  );
}

async function scanned(stranger: Client, daemon: Daemon): Promise<void> {
  title('A scanner is banned at the third decoy');
  const { v4: address } = await stranger.moveToFreshSource();
  command('nmap -sS -r -p-', stranger.server4);
  const quick = ['-n', '-Pn', '--send-ip', '--min-rate', '20000', '--max-retries', '0'];
  const scan = await stranger.exec(['nmap', '-sS', '-r', '-p-', ...quick, stranger.server4]);
  await daemon.waitFor({ event: 'ban.added', source: address }).catch(() => undefined);
  for (const line of daemon.seen({ source: address })) event(line);
  const ban = daemon.seen({ event: 'ban.added', source: address });
  const decoys = daemon.seen({ event: 'decoy.hit', source: address });
  check(
    scan.code === 0 && ban.length === 1 && decoys.length === 3,
    `${address} met three decoys on its way up and was banned.`,
  );
  check(
    daemon.seen({ event: 'door.opened', source: address }).length === 0,
    'Its scan of all 65,535 ports passed every knock, and the door did not open.',
  );
}

async function held(server: Host): Promise<void> {
  title('What the kernel holds now');
  for (const argv of [
    ['iptables', '-S'],
    ['ipset', 'save'],
  ]) {
    const { stdout, code } = await server.exec(argv);
    command(...argv);
    for (const line of stdout.split('\n')) if (line !== '') say(paint(36, `    ${line}`));
    if (code !== 0) check(false, `${argv.join(' ')} ended with ${code}`);
  }
}

function title(text: string): void {
  steps += 1;
  say(`\n${paint(1, `${steps}. ${text}`)}`);
}

function command(...words: readonly string[]): void {
  say(`  $ ${words.join(' ')}`);
}

function event(line: Line): void {
  const words = [line.event.padEnd(14), line.source, line.door, line.port, line.ports?.join(', ')];
  if (line.step !== undefined) words.push(`${line.step} of ${line.of}`);
  if (line.strikes !== undefined) words.push(`strike ${line.strikes}`);
  if (line.reason !== undefined) words.push(`(${line.reason})`);
  say(paint(90, `    ${words.filter((word) => word !== undefined).join('  ')}`));
}

function check(fine: boolean, text: string): void {
  if (!fine) failures += 1;
  say(fine ? `  ${paint(32, '✓')} ${text}` : `  ${paint(31, '✗ NOT SO:')} ${text}`);
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
