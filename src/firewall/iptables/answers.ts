import type { Family } from '../../packet/address.ts';
import type { Config } from '../../policy/config.ts';
import { FirewallError } from '../firewall.ts';
import { type Answers, NO_ANSWERS } from '../rules/answers.ts';
import { CHAIN } from '../rules/names.ts';
import { LOCK_SECONDS, requireTool, runRequired } from './command.ts';

/** Tells which answers to this machine's own questions the rules let through. */
export interface AnswersHere {
  look(config: Config): Promise<Answers>;
  /** Why none are let through though every port is a decoy, as it was last seen; null: they are. */
  fault(): string | null;
}

export interface AnswersOptions {
  readonly families: readonly Family[];
  readonly find: () => Answers;
  readonly directories: readonly string[] | undefined;
}

/** In a chain that nothing jumps to and that is gone in the same transaction. */
const PROBE = [
  '*filter',
  `:${CHAIN.probe} - [0:0]`,
  `-A ${CHAIN.probe} -p udp -m socket --nowildcard -j RETURN`,
  `-F ${CHAIN.probe}`,
  `-X ${CHAIN.probe}`,
  'COMMIT',
  '',
].join('\n');

/** Without the kernel's match `socket` the other rules are laid all the same. It is tried until it is there. */
export function openAnswers({ families, find, directories }: AnswersOptions): AnswersHere {
  let usable = false;
  let fault: string | null = null;

  async function probe(): Promise<void> {
    try {
      for (const family of families) {
        const restore = requireTool('iptables-restore', family, directories);
        await runRequired(restore, ['--noflush', '-w', `${LOCK_SECONDS}`], PROBE);
      }
      usable = true;
      fault = null;
    } catch (error) {
      if (!(error instanceof FirewallError)) throw error;
      fault = error.message;
    }
  }

  return {
    fault: () => fault,
    async look({ decoys }) {
      if (decoys !== 'all') {
        fault = null;
        return NO_ANSWERS;
      }
      const answers = find();
      if (answers.networks.length === 0) return answers;
      if (!usable) await probe();
      return usable ? answers : NO_ANSWERS;
    },
  };
}
