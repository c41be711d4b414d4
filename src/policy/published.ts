import { formatPort, type PortSpec } from '../packet/port.ts';

/** Sequences that stand in somebody's manual, and in our own: guessers try them first. A test holds them against ours. */
const PUBLISHED: ReadonlySet<string> = new Set([
  // knockd's own manual, its Debian package and the guides that copy them.
  '7000/tcp 8000/tcp 9000/tcp',
  '9000/tcp 8000/tcp 7000/tcp',
  '7000/tcp 8000/tcp',
  '2222/udp 3333/tcp 4444/udp',
  '4444/udp 3333/tcp 2222/udp',
  '1000/tcp 2000/tcp 3000/tcp',
  '1111/tcp 2222/tcp 3333/tcp',
  '1234/tcp 2345/tcp 3456/tcp',
  // Ours: README, the manual, examples, an early package.
  '7000/tcp 8000/udp 9000/tcp',
  '7000/tcp 8000/udp 9000/tcp 6000/udp',
  '17023/tcp 4711/udp 31337/tcp 2020/udp',
  '27041/tcp 11873/udp 45119/tcp 33207/udp',
  '14233/udp 50871/tcp 8642/tcp 39482/udp',
  '30500/tcp 52001/tcp 18222/udp',
  '21044/tcp 9377/udp 40810/tcp',
  '17321/udp 29011/tcp 23456/tcp 31999/udp',
  '7213/tcp 9871/udp 8345/tcp 7990/tcp',
  '9042/tcp 7655/udp 8811/tcp 9377/tcp',
  '53/udp 443/tcp 123/udp 80/tcp',
  '443/tcp 53/udp 80/tcp',
  '7200/tcp 7201/udp',
  '7200/tcp 7201/udp 7202/tcp',
  '7100/tcp 7101/udp',
  '7100/tcp 7101/udp 7102/tcp',
  '7100/udp 7101/tcp 7102/udp',
]);

/** Whether a sequence is a published example. */
export function isPublished(knock: readonly PortSpec[]): boolean {
  return PUBLISHED.has(knock.map(formatPort).join(' '));
}
