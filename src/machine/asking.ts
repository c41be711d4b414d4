import { toolName } from '../firewall/iptables/command.ts';
import { mayNameSets } from '../firewall/privilege.ts';
import type { Family } from '../packet/address.ts';
import { printed } from './printed.ts';

export type SavedTable = 'filter' | 'nat' | 'raw';

/** Asks the tools of this machine; undefined where one is not installed, or may not be asked. */
export interface Asking {
  /** What a tool prints. */
  printed(tool: string, args: readonly string[]): Promise<string | undefined>;
  /** What `iptables-save` prints of a family, this table at least. */
  saved(family: Family, table: SavedTable): Promise<string | undefined>;
}

/** For one question: the one table alone is read. */
export const oneQuestion: Asking = { printed, saved: one };

function one(family: Family, table: SavedTable): Promise<string | undefined> {
  return printed(toolName('iptables-save', family), ['-t', table]);
}

/** For the questions of one look: each tool is started once, and `iptables-save` once for all tables of a family. */
export function oneLook(): Asking {
  const answers = new Map<string, Promise<string | undefined>>();
  const once = (tool: string, args: readonly string[]): Promise<string | undefined> => {
    const question = [tool, ...args].join(' ');
    const answer = answers.get(question) ?? printed(tool, args);
    answers.set(question, answer);
    return answer;
  };
  // Who may not name sets is refused all tables for one rule that does.
  const all = mayNameSets();
  return {
    printed: once,
    async saved(family, table) {
      const tool = toolName('iptables-save', family);
      return (all ? await once(tool, []) : undefined) ?? (await once(tool, ['-t', table]));
    },
  };
}
