import { existsSync, readFileSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { readText } from '../machine/proc.ts';
import type { Config } from '../policy/config.ts';
import { type Finding, fault, warning } from './finding.ts';

/** A part of the kernel: its option, its module, and where it shows itself while it is there. */
interface Part {
  readonly option: string;
  readonly module: string;
  readonly shows?: string;
}

const QUEUE: Part = {
  option: 'CONFIG_NETFILTER_NETLINK_QUEUE',
  module: 'nfnetlink_queue',
  shows: 'proc/self/net/netfilter/nfnetlink_queue',
};
const LOG: Part = {
  option: 'CONFIG_NETFILTER_NETLINK_LOG',
  module: 'nfnetlink_log',
  shows: 'proc/self/net/netfilter/nfnetlink_log',
};
const SET: Part = { option: 'CONFIG_NETFILTER_XT_SET', module: 'xt_set' };
const SOCKET: Part = { option: 'CONFIG_NETFILTER_XT_MATCH_SOCKET', module: 'xt_socket' };

/** What the kernel lacks of what this configuration needs; what can't be known is not said. */
export function ofKernel(config: Config, root = '/'): readonly Finding[] {
  const source = config.listen.source === 'nfqueue' ? QUEUE : LOG;
  const name = config.listen.source.toUpperCase();
  const other = config.listen.source === 'nfqueue' ? 'nflog' : 'nfqueue';
  const found: Finding[] = [];
  if (has(source, root) === false) {
    const fix = `boot a kernel with ${source.option}, install its modules, or set listen.source: ${other}`;
    found.push(fault('no-source', `this kernel has no ${name}: no knock reaches nfknock`, fix));
  }
  if (has(SET, root) === false)
    found.push(
      fault(
        'no-match-set',
        'this kernel has no match `set`: nobody can be banned',
        `boot a kernel with ${SET.option}`,
      ),
    );
  if (config.decoys === 'all' && has(SOCKET, root) === false) {
    const problem =
      'this kernel has no match `socket`: devices that answer this machine are taken for scanners';
    found.push(
      warning(
        'no-match-socket',
        problem,
        `boot a kernel with ${SOCKET.option}, or put their network into bans.never`,
      ),
    );
  }
  return found;
}

/** Undefined: nothing here tells. */
function has({ option, module, shows }: Part, root: string): boolean | undefined {
  if (shows !== undefined && existsSync(join(root, shows))) return true;
  if (existsSync(join(root, 'sys/module', module))) return true;
  const built = kernelConfig(root);
  if (built !== undefined && new RegExp(`^${option}=y$`, 'm').test(built)) return true;
  const folder = join(root, 'lib/modules', release());
  const modules = `${readText(join(folder, 'modules.dep'))}\n${readText(join(folder, 'modules.builtin'))}`;
  if (modules.includes(`/${module}.ko`)) return true;
  if (modules.trim() !== '') return false;
  return built !== undefined && !new RegExp(`^${option}=m$`, 'm').test(built) ? false : undefined;
}

function kernelConfig(root: string): string | undefined {
  try {
    return gunzipSync(readFileSync(join(root, 'proc/config.gz'))).toString('latin1');
  } catch {
    const text = readText(join(root, 'boot', `config-${release()}`));
    return text === '' ? undefined : text;
  }
}

/** Entries of conntrack's table above which new connections are soon refused, as a share. */
const CONNTRACK_NEAR = 0.8;

export function ofConntrack(count: number | undefined, max: number | undefined): readonly Finding[] {
  if (count === undefined || max === undefined || max === 0 || count < max * CONNTRACK_NEAR) return [];
  const problem = `the kernel's table of connections is nearly full (${count} of ${max})`;
  const fix = 'raise net.netfilter.nf_conntrack_max, or find who fills it: conntrack -L';
  return [count >= max ? fault('conntrack-full', problem, fix) : warning('conntrack-full', problem, fix)];
}
