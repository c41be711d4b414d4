import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';

/** Debian's place for it; elsewhere CHROMIUM names it. */
export const CHROMIUM: string = process.env['CHROMIUM'] ?? '/usr/bin/chromium';

export function hasBrowser(): boolean {
  return existsSync(CHROMIUM);
}

export interface Look {
  readonly width: number;
  readonly height: number;
  readonly dark?: boolean;
  /** Run in the page before the screenshot; what it gives is in `value`. */
  readonly script?: string;
  readonly screenshot?: string;
}

export interface Seen {
  /** Errors and warnings of the console, refusals of the content-security policy, exceptions. */
  readonly complaints: readonly string[];
  /** Addresses that the page asked for, but for itself and data: URLs. */
  readonly requests: readonly string[];
  readonly value: unknown;
}

const FLAGS: readonly string[] = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--remote-debugging-pipe',
];

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: Readonly<Record<string, unknown>>;
  readonly result?: Readonly<Record<string, unknown>>;
  readonly error?: { readonly message: string };
  readonly sessionId?: string;
}

/** Opens a page, from a file, in a browser of its own and tells what happened. */
export async function look(html: string, how: Look): Promise<Seen> {
  const directory = mkdtempSync(join(tmpdir(), 'nfknock-report-'));
  const file = join(directory, 'report.html');
  writeFileSync(file, html);
  const flags = [...FLAGS, `--user-data-dir=${join(directory, 'profile')}`];
  const browser = spawn(CHROMIUM, flags, {
    stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
    // A process group of its own, so that its helpers end with it and write nothing into what is removed below.
    detached: true,
  });
  const ended = new Promise((resolve) => browser.once('exit', resolve));
  try {
    return await visit(browser, `file://${file}`, how);
  } finally {
    if (browser.pid !== undefined && browser.exitCode === null) process.kill(-browser.pid, 'SIGKILL');
    await ended;
    rmSync(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
  }
}

async function visit(browser: ChildProcess, address: string, how: Look): Promise<Seen> {
  const complaints: string[] = [];
  const requests: string[] = [];
  const { send, on } = connect(browser);
  const { targetId } = await send('Target.createTarget', { url: 'about:blank' });
  const { sessionId } = await send('Target.attachToTarget', { targetId, flatten: true });
  const page = (method: string, params: object = {}): Promise<Readonly<Record<string, unknown>>> =>
    send(method, params, String(sessionId));
  on((message) => {
    const text = JSON.stringify(message.params);
    if (message.method === 'Runtime.exceptionThrown' || message.method === 'Log.entryAdded')
      complaints.push(text);
    if (message.method === 'Runtime.consoleAPICalled') complaints.push(text);
    if (message.method === 'Network.requestWillBeSent') {
      const { url = '' } = (message.params?.['request'] ?? {}) as { readonly url?: string };
      if (url !== address && !url.startsWith('data:')) requests.push(url);
    }
  });
  for (const domain of ['Runtime', 'Log', 'Network', 'Page']) await page(`${domain}.enable`);
  const { width, height } = how;
  await page('Emulation.setDeviceMetricsOverride', {
    width,
    height,
    deviceScaleFactor: 1,
    mobile: width < 500,
  });
  const scheme = { name: 'prefers-color-scheme', value: how.dark === true ? 'dark' : 'light' };
  await page('Emulation.setEmulatedMedia', { features: [scheme] });
  const loaded = new Promise<void>((resolve) => {
    on((message) => {
      if (message.method === 'Page.loadEventFired') resolve();
    });
  });
  await page('Page.navigate', { url: address });
  await loaded;
  const expression = how.script ?? 'null';
  const answer = await page('Runtime.evaluate', { expression, returnByValue: true, awaitPromise: true });
  // Two frames, so that what was asked for is drawn.
  const frames = 'new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))';
  await page('Runtime.evaluate', { expression: frames, awaitPromise: true });
  if (how.screenshot !== undefined) {
    const { data } = await page('Page.captureScreenshot', { format: 'png' });
    writeFileSync(how.screenshot, Buffer.from(String(data), 'base64'));
  }
  const { value } = answer['result'] as { readonly value?: unknown };
  if (answer['exceptionDetails'] !== undefined) complaints.push(JSON.stringify(answer['exceptionDetails']));
  return { complaints, requests, value };
}

interface Connection {
  send(method: string, params: object, sessionId?: string): Promise<Readonly<Record<string, unknown>>>;
  on(listener: (message: Message) => void): void;
}

/** The browser's debugging protocol over a pair of pipes: JSON, each message ended by a NUL. */
function connect(browser: ChildProcess): Connection {
  const out = browser.stdio[3] as Writable;
  const back = browser.stdio[4] as Readable;
  const waiting = new Map<
    number,
    { resolve: (result: Readonly<Record<string, unknown>>) => void; reject: (error: Error) => void }
  >();
  const listeners: ((message: Message) => void)[] = [];
  let next = 1;
  let held = '';
  back.setEncoding('utf8');
  back.on('data', (text: string) => {
    held += text;
    for (let end = held.indexOf('\0'); end >= 0; end = held.indexOf('\0')) {
      const message = JSON.parse(held.slice(0, end)) as Message;
      held = held.slice(end + 1);
      const wanted = message.id === undefined ? undefined : waiting.get(message.id);
      if (message.error !== undefined) wanted?.reject(new Error(message.error.message));
      else wanted?.resolve(message.result ?? {});
      for (const listener of listeners) listener(message);
    }
  });
  browser.once('exit', () => {
    for (const { reject } of waiting.values()) reject(new Error('the browser ended'));
  });
  out.on('error', () => undefined);
  return {
    on: (listener) => listeners.push(listener),
    send(method, params, sessionId) {
      const id = next++;
      const { promise, resolve, reject } = promiseOf<Readonly<Record<string, unknown>>>();
      waiting.set(id, { resolve, reject });
      out.write(
        `${JSON.stringify({ id, method, params, ...(sessionId === undefined ? {} : { sessionId }) })}\0`,
      );
      return promise;
    },
  };
}

function promiseOf<T>(): {
  promise: Promise<T>;
  resolve: (value: T) => void;
  reject: (error: Error) => void;
} {
  let resolve: (value: T) => void = () => undefined;
  let reject: (error: Error) => void = () => undefined;
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}
