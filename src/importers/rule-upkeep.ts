import { quoted } from '../text/plain.ts';

type Argv = readonly string[];

/** Chains that nfknock's own jumps stand in. */
const CHAINS = ['INPUT', 'FORWARD', 'PREROUTING'];

function nameOf(words: Argv): string {
  return (words[0] ?? '').split('/').pop() ?? '';
}

function isIptables(words: Argv): boolean {
  return /^ip6?tables(-nft|-legacy)?$/.test(nameOf(words));
}

/** The chain of an `iptables -D CHAIN NUMBER`, or `ufw delete NUMBER`. */
export function deletedByNumber(words: Argv): string | undefined {
  if (nameOf(words) === 'ufw') {
    const [does, number, ...rest] = words.slice(1).filter((word) => word !== '--force');
    return does === 'delete' && /^\d+$/.test(number ?? '') && rest.length === 0 ? 'ufw' : undefined;
  }
  if (!isIptables(words)) return undefined;
  const at = words.findIndex((word) => word === '-D' || word === '--delete');
  return at > 0 && /^\d+$/.test(words[at + 2] ?? '') ? words[at + 1] : undefined;
}

/** What a command would do to the rules of nfknock, in words; undefined: nothing, as far as it can be told. */
export function harmToOurs(words: Argv): string | undefined {
  const chain = deletedByNumber(words);
  if (chain !== undefined)
    return `deletes what happens to stand at that number of ${quoted(chain)}, which may be nfknock's own rule: left out; delete a rule by what it says`;
  if (
    /^ip6?tables(-nft|-legacy)?-restore$/.test(nameOf(words)) &&
    !words.some((word) => /^(-n|--noflush)$/.test(word))
  )
    return FLUSHES;
  if (nameOf(words) === 'nft')
    return /^(flush ruleset|(flush|delete) (table|chain) (ip6?) (filter|mangle|nat))\b/.test(nftText(words))
      ? FLUSHES
      : undefined;
  if (!isIptables(words)) return undefined;
  const flush = words.findIndex((word) => word === '-F' || word === '--flush');
  const flushed = words[flush + 1];
  if (flush > 0 && (flushed === undefined || flushed.startsWith('-') || CHAINS.includes(flushed)))
    return FLUSHES;
  const replace = words.findIndex((word) => word === '-R' || word === '--replace');
  return replace > 0 && CHAINS.includes(words[replace + 1] ?? '')
    ? "replaces what happens to stand at that number, which may be nfknock's own rule: left out"
    : undefined;
}

const FLUSHES =
  "takes nfknock's own rules out too, and what its doors protect is open until they are back: left out; `nfknock stand-down` takes them out on purpose";

function nftText(words: Argv): string {
  return words
    .slice(1)
    .filter((word) => !/^-[aenps]+$/.test(word))
    .join(' ');
}

/** Saving and loading anew what the rules of others are: a grant needs neither. */
export function isUpkeep(words: Argv): boolean {
  const [name, first, ...rest] = [nameOf(words), ...words.slice(1)];
  const saves = rest.at(-1) === 'save' || first === 'save';
  if (/^ip6?tables(-nft|-legacy)?-save$/.test(name ?? '')) return true;
  if (name === 'service' || name === 'invoke-rc.d')
    return /^(ip6?tables|netfilter-persistent|iptables-persistent)$/.test(first ?? '') && saves;
  if (/^(ip6?tables|netfilter-persistent|iptables-persistent)$/.test(name ?? '') && words.length === 2)
    return saves;
  if (name === 'ufw') return first === 'reload' && rest.length === 0;
  if (name !== 'firewall-cmd') return false;
  return (
    words.slice(1).every((word) => /^--(reload|complete-reload|runtime-to-permanent|quiet)$/.test(word)) &&
    words.length > 1
  );
}
