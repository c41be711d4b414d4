import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/*
 * How fast the built command replays a capture, start-up included, and in how much memory:
 *
 *   npm run build && npx tsc -p test/bench/tsconfig.json && node dist/bench/test/bench/replay.js [PACKETS [mixed|flood [--no-goal]]]
 *
 * The capture is written first and removed afterwards. It ends with 1 where the goal is missed.
 */
const PACKETS = Number(process.argv[2] ?? 1_000_000);
/** `mixed`: connections and strays in equal parts. `flood`: every packet a SYN from a source of its own. */
const MIX = process.argv[3] ?? 'mixed';
const HOST = 0xc000_0201;
/** Packets a second of processor time: on one core that nobody else uses it is the time that passes. */
const GOAL = 500_000;
/** Greatest memory, in bytes: the same for a capture of any length. */
const MEMORY_GOAL = 400_000_000;
const RECORD_BYTES = 16 + 54;
const BLOCK_PACKETS = 10_000;
/** How often the command's memory and time are looked at. */
const LOOK_MS = 10;
/** Linux counts processor time in hundredths of a second. */
const TICKS_PER_SECOND = 100;

const root = new URL('../../../../', import.meta.url).pathname;
const file = join(tmpdir(), `nfknock-bench-${process.pid}.pcap`);
try {
  writeCapture(file);
  const { wall, processor, memory } = await measured(file);
  const rate = PACKETS / processor;
  const figure = (value: number): string => Math.round(value).toLocaleString('en');
  console.log(
    `${figure(PACKETS)} packets (${MIX}): ${figure(rate)} a second of processor, ` +
      `${processor.toFixed(2)} s of it in ${wall.toFixed(2)} s; at most ${figure(memory / 1e6)} MB`,
  );
  if (process.argv[4] !== '--no-goal' && (rate < GOAL || memory > MEMORY_GOAL)) {
    console.log(`the goal is ${figure(GOAL)} packets a second and ${figure(MEMORY_GOAL / 1e6)} MB`);
    process.exitCode = 1;
  }
} finally {
  rmSync(file, { force: true });
}

interface Measured {
  /** Seconds that passed, and seconds of processor. */
  readonly wall: number;
  readonly processor: number;
  /** Bytes. */
  readonly memory: number;
}

/** Runs the command on the capture and watches it in /proc. */
async function measured(capture: string): Promise<Measured> {
  const config = join(root, 'test/fixtures/captures/nfknock.yaml');
  const started = process.hrtime.bigint();
  const child = spawn(
    process.execPath,
    [join(root, 'dist/bin/nfknock.js'), 'replay', capture, '-c', config],
    {
      stdio: ['ignore', 'ignore', 'inherit'],
    },
  );
  let memory = 0;
  let processor = 0;
  const look = (): void => {
    try {
      const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
      memory = Math.max(memory, Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) * 1024);
      const [, fields = ''] = readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(') ');
      const [user, system] = fields.split(' ').slice(11, 13).map(Number);
      processor = ((user ?? 0) + (system ?? 0)) / TICKS_PER_SECOND;
    } catch {
      // It has just ended.
    }
  };
  const watch = setInterval(look, LOOK_MS);
  const code = await new Promise((resolve) => child.once('exit', resolve));
  clearInterval(watch);
  if (code !== 0) throw new Error(`nfknock replay ended with ${code}`);
  return { wall: Number(process.hrtime.bigint() - started) / 1e9, processor, memory };
}

function writeCapture(path: string): void {
  const target = openSync(path, 'w');
  const head = Buffer.alloc(24);
  head.writeUInt32LE(0xa1b2c3d4, 0);
  head.writeUInt16LE(2, 4);
  head.writeUInt16LE(4, 6);
  head.writeUInt32LE(262_144, 16);
  head.writeUInt32LE(1, 20);
  writeSync(target, head);
  for (let at = 0; at < PACKETS; at += BLOCK_PACKETS) {
    const count = Math.min(BLOCK_PACKETS, PACKETS - at);
    const block = Buffer.alloc(count * RECORD_BYTES);
    for (let i = 0; i < count; i++) writePacket(block, i * RECORD_BYTES, at + i);
    writeSync(target, block);
  }
  closeSync(target);
}

/** A packet every five microseconds. */
function writePacket(block: Buffer, at: number, number: number): void {
  const micros = number * 5;
  block.writeUInt32LE(1_795_243_200 + Math.floor(micros / 1e6), at);
  block.writeUInt32LE(micros % 1e6, at + 4);
  block.writeUInt32LE(54, at + 8);
  block.writeUInt32LE(54, at + 12);
  const ip = at + 16 + 14;
  block.writeUInt16BE(0x0800, ip - 2);
  block[ip] = 0x45;
  block.writeUInt16BE(40, ip + 2);
  block[ip + 8] = 64;
  block[ip + 9] = 6;
  block[ip + 32] = 0x50;
  if (MIX === 'mixed' && number % 2 === 0) writeVisit(block, ip, number / 2);
  else writeStray(block, ip, number);
}

/** One of 5,000 connections to port 80: SYN, SYN+ACK, then data and answers. */
function writeVisit(block: Buffer, ip: number, number: number): void {
  const connection = number % 5000;
  const turn = Math.floor(number / 5000);
  const inbound = turn % 2 === 0;
  const client = 0xc633_6400 + (connection % 250);
  const ports = [1024 + connection, 80] as const;
  block.writeUInt32BE(inbound ? client : HOST, ip + 12);
  block.writeUInt32BE(inbound ? HOST : client, ip + 16);
  block.writeUInt16BE(inbound ? ports[0] : ports[1], ip + 20);
  block.writeUInt16BE(inbound ? ports[1] : ports[0], ip + 22);
  block.writeUInt32BE(turn * 1000, ip + 24);
  block[ip + 33] = turn === 0 ? 2 : turn === 1 ? 18 : 16;
}

/** A SYN from one of many sources (as many as packets in a flood), to a decoy or to a knock port. */
function writeStray(block: Buffer, ip: number, number: number): void {
  const source = Math.imul(number, 0x9e3779b1) >>> (MIX === 'mixed' ? 17 : 12);
  block.writeUInt32BE((0xc612_0000 + source) >>> 0, ip + 12);
  block.writeUInt32BE(HOST, ip + 16);
  block.writeUInt16BE(1024 + (number % 60_000), ip + 20);
  block.writeUInt16BE(number % 7 < 3 ? 23 : number % 3 === 0 ? 9000 : 7000, ip + 22);
  block.writeUInt32BE(Math.imul(number, 0x85ebca6b) >>> 0, ip + 24);
  block[ip + 33] = 2;
}
