import type { SetEntry } from '../../src/firewall/change.ts';
import { openSets } from '../../src/firewall/netlink/ipset.ts';
import { openNetfilter } from '../../src/firewall/netlink/socket.ts';

/*
 * How many bans a second the kernel takes from the firewall room, in the batches in which a flood comes: 1,000
 * entries each, into a set that holds as many as there are. Run in a network namespace; prints one number.
 */
const COUNT = 1_000_000;
const BATCH = 1000;
const SET = 'nfknock-bench';

const socket = openNetfilter();
const sets = openSets(socket);
await sets.create({ name: SET, type: 'hash:net', family: 6, limit: COUNT });
const begun = performance.now();
for (let first = 0; first < COUNT; first += BATCH) {
  const entries = Array.from({ length: BATCH }, (_, index): SetEntry => {
    const b = Math.imul(first + index, 0x9e3779b1);
    return { target: { address: { family: 6, a: 0x2001_0db8, b, c: 0, d: 0 }, bits: 64 }, seconds: 600 };
  });
  await sets.change([{ set: SET, family: 6, action: 'add', entries }]);
}
console.log(Math.round((COUNT / (performance.now() - begun)) * 1000));
await sets.destroy(SET);
socket.close();
