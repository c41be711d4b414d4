import type { Firewall } from '../firewall/firewall.ts';
import type { Config } from '../policy/config.ts';
import type { OneTimePorts } from '../policy/port-roles.ts';

/** A firewall that can be taken out as a whole and put in again, while the rest of the daemon goes on. */
export interface SuspendableFirewall extends Firewall {
  /** Takes everything out; from now on nothing is told to the kernel. Rejects with a FirewallError; then it is so all the same. */
  suspend(): Promise<void>;
  /**
   * Puts in what is wanted by now, but for grants and bans: those are the caller's to fill in. Rejects with a
   * FirewallError; then the watch over the rules, which goes on, finds them missing.
   */
  resume(base: 'with its base policy' | 'as it was'): Promise<void>;
}

/**
 * While it is suspended every change is taken and none carried out: the engine and the state file know what is to hold,
 * and once it is resumed all of it is put in anew.
 */
export function suspendable(firewall: Firewall): SuspendableFirewall {
  let suspended = false;
  /** A configuration that was taken while nothing could be installed. */
  let next: { readonly config: Config; readonly oneTime: OneTimePorts | undefined } | undefined;
  let base = false;

  async function put(): Promise<void> {
    if (next === undefined) await firewall.install();
    else await firewall.replace(next.config, next.oneTime);
    next = undefined;
    if (base) await firewall.installBase();
    base = false;
  }

  return {
    ...firewall,
    async suspend() {
      suspended = true;
      // After whatever is on its way to the kernel now.
      await firewall.remove();
    },
    async resume(wish) {
      base ||= wish === 'with its base policy';
      try {
        await put();
      } finally {
        suspended = false;
      }
    },
    install: async () => (suspended ? undefined : await put()),
    async installBase() {
      if (suspended) base = true;
      else await firewall.installBase();
    },
    apply: async (changes, after) => (suspended ? await after : await firewall.apply(changes, after)),
    readBack: async () => (suspended ? { grants: [], bans: [] } : await firewall.readBack()),
    intact: async () => suspended || (await firewall.intact()),
    async replace(config, oneTime) {
      if (!suspended) {
        next = undefined;
        return await firewall.replace(config, oneTime);
      }
      next = { config, oneTime };
      return [];
    },
    refresh: async () => (suspended ? undefined : await firewall.refresh()),
  };
}
