// Runs inside a network namespace and drives the built firewall for the tests, told so by JSON lines on standard
// input: tables, sets and sockets belong to the namespace of the process that opens them.
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';

const DIST = process.env.NFKNOCK_DIST;
const built =
  DIST === undefined ? new URL('../../dist/firewall/', import.meta.url) : pathToFileURL(`${DIST}/firewall/`);
const load = (name) => import(new URL(name, built).href);
const { openFirewall } = await load('iptables/iptables.js');
const { openRestore } = await load('iptables/restore-process.js');
const { legacyBeside, watchRules } = await load('iptables/watch.js');

let firewall;
let restore;
let seen = [];
let watches = [];

const operations = {
  open: async ([config]) => {
    for (const watch of watches) watch.close();
    watches = [];
    seen = [];
    firewall = await openFirewall({ config, now: Date.now });
  },
  install: () => firewall.install(),
  installBase: () => firewall.installBase(),
  apply: ([changes]) => firewall.apply(changes),
  readBack: () => firewall.readBack(),
  intact: () => firewall.intact(),
  setsIntact: () => firewall.setsIntact(),
  replace: ([config]) => firewall.replace(config),
  remove: () => firewall.remove(),
  close: () => firewall.close(),
  pids: () => firewall.pids(),

  /** Milliseconds that each of many changes takes, one after the other. */
  time: async ([calls]) => {
    const times = [];
    for (const changes of calls) {
      const started = performance.now();
      await firewall.apply(changes);
      times.push(performance.now() - started);
    }
    return times;
  },
  /** Many at once: what each came to. */
  applyAll: async ([calls]) => {
    const results = await Promise.allSettled(calls.map((changes) => firewall.apply(changes)));
    return results.map((result) => result.reason?.code ?? 'done');
  },

  restoreOpen: ([family, answerMs]) => {
    restore = openRestore(family, answerMs === undefined ? {} : { answerMs });
  },
  restoreApply: ([block, afterMs]) => restore.apply(block, afterMs == null ? undefined : sleep(afterMs)),
  restorePid: () => restore.pid() ?? null,
  restoreClose: () => restore.close(),

  watchConnections: () => {
    const tell = ({ source, protocol, host, port }) => seen.push({ begun: { source, protocol, host, port } });
    const connections = firewall.openConnections();
    watches.push(
      connections.watch(tell, () => seen.push('lost')),
      connections,
    );
  },
  watchRules: () => {
    const onDrift = async (what) => {
      await firewall.install();
      seen.push(what);
    };
    watches.push(watchRules({ firewall, onDrift }));
  },
  seen: () => seen,
  legacyBeside: async () => (await legacyBeside()) ?? null,
};

createInterface({ input: process.stdin }).on('line', async (line) => {
  const { id, operation, args } = JSON.parse(line);
  let answer;
  try {
    answer = { id, value: await operations[operation](args) };
  } catch (error) {
    answer = {
      id,
      error: { message: error.message, operation: error.operation, code: error.code, fix: error.fix },
    };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
});
