import type { Countermeasure } from './countermeasure.ts';

/** Countermeasures that are seen on the kernel; these tests need root. */
export const ON_THE_KERNEL: readonly Countermeasure[] = [
  {
    name: 'a queue without a listener drops',
    file: 'src/firewall/rules/hand-over.ts',
    from: '`-j NFQUEUE --queue-num ',
    to: '`-j NFQUEUE --queue-bypass --queue-num ',
    test: 'test/attacks/stall.test.ts',
    of: 'lets nobody get behind a decoy',
  },
  {
    name: 'the queue does not fail open',
    file: 'native/src/nfqueue.c',
    from: '(void)set_flag(self, NFQA_CFG_F_GSO);',
    to: '(void)set_flag(self, NFQA_CFG_F_GSO);\n\t(void)set_flag(self, NFQA_CFG_F_FAIL_OPEN);',
    test: 'test/attacks/stall.test.ts',
    of: 'anyone who waits at the port is not let in by a queue that runs over',
  },
  {
    name: 'SOCK_CLOEXEC on the queue’s socket',
    file: 'native/src/socket.c',
    from: 'SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK',
    to: 'SOCK_RAW | SOCK_NONBLOCK',
    test: 'test/attacks/stall.test.ts',
    of: 'does not keep the queue: the next daemon has it at once',
  },
  {
    name: 'the sender of a kernel message is looked at',
    file: 'native/src/capture.c',
    from: 'return sender.nl_family != AF_NETLINK || sender.nl_pid != 0;',
    to: 'return sender.nl_family != AF_NETLINK;',
    test: 'test/kernel/native-nfqueue.test.ts',
    of: 'counts what another process sends to its socket',
  },
  {
    // `-w` alone can't be seen: iptables-restore 1.8.9 waits without it too, and for ever.
    name: 'the lock of the tables is waited for',
    file: 'src/firewall/iptables/restore-process.ts',
    from: 'LOCK_SECONDS * 2 * 1000',
    to: '100',
    test: 'test/attacks/machine.test.ts',
    of: 'delays a door by no more than that, also with iptables-legacy',
  },
  {
    name: 'commands are argument lists',
    file: 'src/process/start.ts',
    from: "detached: group === 'own',",
    to: "detached: group === 'own',\n      shell: true,",
    test: 'test/kernel/doors-commands.test.ts',
    of: 'gets its arguments as they are written',
  },
  {
    name: 'eight commands at once',
    file: 'src/daemon/hook.ts',
    from: 'const RUNNING_MAX = 8;',
    to: 'const RUNNING_MAX = 8_000;',
    test: 'test/kernel/doors-commands.test.ts',
    of: 'a flood of grants is no flood of processes',
  },
  {
    name: 'SIGUSR1 is handled',
    file: 'src/cli/commands/run.ts',
    from: "process.on('SIGUSR1', () => undefined);",
    to: '',
    test: 'test/kernel/daemon-life.test.ts',
    of: 'SIGUSR1 opens no debugger',
  },
];
