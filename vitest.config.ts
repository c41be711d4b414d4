import { defineConfig, type ViteUserConfig } from 'vitest/config';

// `unit` needs nothing. `kernel` needs root and makes network namespaces; two files run at a time, since each has
// namespaces of its own and mostly waits. `long` is the same, of what takes longest. `measure` runs alone:
// what takes times, and what may build the program anew. `npm test` runs the first two, `npm run test:long` the others.
const MEASURING = [
  'test/kernel/bench-guard.test.ts',
  'test/kernel/fleet-joining.test.ts',
  'test/kernel/fleet-knocks.test.ts',
  'test/kernel/keys-flood.test.ts',
  'test/kernel/keys-latency.test.ts',
  'test/kernel/operation-start.test.ts',
  'test/kernel/queue-length.test.ts',
  'test/kernel/setup.test.ts',
  'test/kernel/turns-cut.test.ts',
  'test/kernel/turns.test.ts',
  'test/kernel/uses-cut.test.ts',
];
/**
 * What takes longest: whole machines, attacks without end, crashes at every step, and sweeps through the
 * kernel's ways. The keys and the sequences stay in `npm test`, whatever they take.
 */
const LONG = [
  'test/attacks/chaos/chaos.test.ts',
  'test/attacks/machine.test.ts',
  'test/attacks/packets.test.ts',
  'test/attacks/stall.test.ts',
  'test/clients/client-file.test.ts',
  'test/clients/lookalike-appliance.test.ts',
  'test/clients/lookalike-decred.test.ts',
  'test/clients/lookalike-doorman.test.ts',
  'test/clients/lookalike-knockd.test.ts',
  'test/clients/lookalike-portsentry.test.ts',
  'test/clients/lookalike-recent.test.ts',
  'test/clients/nmap.test.ts',
  'test/clients/peers-asks.test.ts',
  'test/clients/peers-ends.test.ts',
  'test/clients/peers-faults.test.ts',
  'test/clients/peers-knockd.test.ts',
  'test/clients/telnet.test.ts',
  'test/kernel/accept.test.ts',
  'test/kernel/answer-closed.test.ts',
  'test/kernel/bans-time.test.ts',
  'test/kernel/clock-at-boot.test.ts',
  'test/kernel/codes-crash.test.ts',
  'test/kernel/codes.test.ts',
  'test/kernel/daemon-bans.test.ts',
  'test/kernel/daemon-grants.test.ts',
  'test/kernel/daemon-last-words.test.ts',
  'test/kernel/daemon-life.test.ts',
  'test/kernel/daemon-watchdog.test.ts',
  'test/kernel/discovery.test.ts',
  'test/kernel/doctor-healthy.test.ts',
  'test/kernel/doctor.test.ts',
  'test/kernel/doors-commands.test.ts',
  'test/kernel/doors-docker.test.ts',
  'test/kernel/doors-forward.test.ts',
  'test/kernel/doors-grants.test.ts',
  'test/kernel/doors-one-time.test.ts',
  'test/kernel/doors-set.test.ts',
  'test/kernel/doors-uses.test.ts',
  'test/kernel/durability.test.ts',
  'test/kernel/families.test.ts',
  'test/kernel/firewall-any.test.ts',
  'test/kernel/firewall-life.test.ts',
  'test/kernel/firewall-packets.test.ts',
  'test/kernel/firewall-policy.test.ts',
  'test/kernel/firewalld.test.ts',
  'test/kernel/fleet-kills.test.ts',
  'test/kernel/fleet-takeover.test.ts',
  'test/kernel/fleet.test.ts',
  'test/kernel/foreign-rules.test.ts',
  'test/kernel/grant-mark-forward.test.ts',
  'test/kernel/grant-mark.test.ts',
  'test/kernel/init-late.test.ts',
  'test/kernel/init.test.ts',
  'test/kernel/keys-clients.test.ts',
  'test/kernel/keys-crash.test.ts',
  'test/kernel/keys-hidden.test.ts',
  'test/kernel/keys-network.test.ts',
  'test/kernel/machine.test.ts',
  'test/kernel/native-accepts.test.ts',
  'test/kernel/native-tables.test.ts',
  'test/kernel/netlink-contract.test.ts',
  'test/kernel/notrack.test.ts',
  'test/kernel/operation-reload.test.ts',
  'test/kernel/operation-repair.test.ts',
  'test/kernel/operation-state.test.ts',
  'test/kernel/operation-unprivileged.test.ts',
  'test/kernel/package.test.ts',
  'test/kernel/reload-refused.test.ts',
  'test/kernel/replay-wire.test.ts',
  'test/kernel/rollback-full.test.ts',
  'test/kernel/rollback-killed.test.ts',
  'test/kernel/rollback.test.ts',
  'test/kernel/soak.test.ts',
  'test/kernel/source-both.test.ts',
  'test/kernel/stand-down.test.ts',
  'test/kernel/survival-kill.test.ts',
  'test/kernel/survival-reboot.test.ts',
  'test/kernel/unit-file.test.ts',
  'test/kernel/unit-restart.test.ts',
];
/**
 * What `npm run test:quick` leaves out: drawn histories by the thousand, full tables, and what starts programs. All of
 * it is in `npm test`.
 */
const SLOW = [
  'test/property/**',
  'test/attacks/engine/**',
  'test/unit/cli/**',
  'test/golden/replay/**',
  'test/unit/config/{check,examples,key-file,property}.test.ts',
  'test/unit/control/{fuzz,server}.test.ts',
  'test/unit/daemon/{answers,effects,exemptions,fleet,fleet-tools,hook,in-memory,notify,restored}.test.ts',
  'test/unit/docs/**',
  'test/unit/doctor.test.ts',
  'test/unit/engine/{alike,grant,look,memory,table}.test.ts',
  'test/unit/fleet/{bus-contract,redis,sentinel}.test.ts',
  'test/unit/replay/**',
  'test/unit/importers/import.test.ts',
  'test/unit/log/{catalogue,follow}.test.ts',
  'test/unit/report/**',
  'test/unit/setup-list.test.ts',
  'test/unit/source/pcap*.test.ts',
  'test/unit/spa/**',
  'test/unit/state/{crash,sqlite}.test.ts',
  'test/unit/strength/**',
];
/** In a process of its own: a history must depend on nothing but its seed. */
const SIMULATION = 'test/property/fleet-simulation.test.ts';
const QUICK = process.env['NFKNOCK_QUICK'] !== undefined;
/** Milliseconds; an emulated machine (scripts/guest.sh) needs more. */
const PATIENCE_MS = Number(process.env['NFKNOCK_TEST_MS'] ?? 60_000);
const onKernel = {
  pool: 'forks',
  testTimeout: PATIENCE_MS,
  hookTimeout: PATIENCE_MS,
} as const;
const config: ViteUserConfig = defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          globalSetup: ['test/unit/cli/build-first.ts'],
          setupFiles: ['test/seed.ts'],
          // One process a worker, not one a file: what loads the program again for each file takes half the time.
          pool: 'forks',
          isolate: false,
          // A busy machine is no failure.
          testTimeout: 60_000,
          // Left alone it would keep a processor free, half of a small machine.
          maxWorkers: '100%',
          exclude: [...(QUICK ? SLOW : []), SIMULATION],
          include: [
            'test/unit/**/*.test.ts',
            'test/property/**/*.test.ts',
            'test/golden/**/*.test.ts',
            'test/attacks/engine/**/*.test.ts',
            'test/*.test.ts',
          ],
        },
      },
      {
        test: {
          name: 'simulation',
          setupFiles: ['test/seed.ts'],
          testTimeout: 60_000,
          pool: 'forks',
          include: [SIMULATION],
        },
      },
      {
        test: {
          name: 'kernel',
          include: [
            'test/kernel/**/*.test.ts',
            'test/clients/**/*.test.ts',
            'test/attacks/*.test.ts',
            'test/attacks/chaos/*.test.ts',
          ],
          exclude: [...MEASURING, ...LONG],
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
          ...onKernel,
        },
      },
      {
        test: {
          name: 'long',
          include: LONG,
          maxWorkers: 2,
          sequence: { groupOrder: 2 },
          ...onKernel,
        },
      },
      {
        test: {
          name: 'measure',
          include: MEASURING,
          maxWorkers: 1,
          sequence: { groupOrder: 3 },
          ...onKernel,
        },
      },
    ],
  },
});

export default config;
