/*
 * What a source must do, whatever it takes packets from: answers with what it did otherwise. Plain JavaScript, since it also
 * runs inside a network namespace, in a process of its own.
 *
 * `open(onBatch)` opens a source; `send(port, count)` brings that many UDP packets to one of its ports and resolves once
 * they are on their way; `settled()` resolves when what is on its way has arrived.
 */
export async function sourceFaults({ open, send, settled }) {
  const faults = [];
  const must = (holds, what) => {
    if (!holds) faults.push(what);
  };
  const ports = [];
  let batches = 0;
  const onBatch = (batch, count) => {
    batches += 1;
    must(count >= 1, 'a batch of no packets');
    for (let index = 0; index < count; index += 1) {
      const at = batch.offsets[index];
      const { bytes } = batch;
      const header = (bytes[at] & 15) * 4;
      must(
        bytes[at] >> 4 === 4 && batch.lengths[index] >= header + 8,
        'a packet that is not where it is said to be',
      );
      ports.push(bytes[at + header + 2] * 256 + bytes[at + header + 3]);
      const stamp = batch.stamps[index];
      must(stamp === 0 || Math.abs(Date.now() - stamp) < 60_000, `a stamp of another time: ${stamp}`);
    }
  };

  const source = open(onBatch);
  const fresh = source.health();
  must(fresh.packets === 0 && fresh.batches === 0, 'counts that do not begin at 0');
  await send(1, 1);
  await settled();
  await send(2, 300);
  await settled();
  must(ports.length === 301, `of 301 packets ${ports.length} came`);
  must(new Set(ports.slice(1)).size === 1 && ports[0] !== ports[1], 'the order was not kept');
  const health = source.health();
  must(health.packets === ports.length, `it counts ${health.packets} packets and gave ${ports.length}`);
  must(health.batches === batches, `it counts ${health.batches} batches and gave ${batches}`);
  must(
    health.depth === 0 && health.kernelDropped === 0 && health.errors === 0,
    'it tells of what did not happen',
  );
  source.adapt?.();

  source.close();
  source.close();
  source[Symbol.dispose]();
  await send(3, 5);
  await settled();
  must(ports.length === 301, 'a packet came after it was closed');
  const after = source.health();
  must(after.packets === 301 && after.depth === 0, 'closed, it forgets what it counted');
  source.adapt?.();

  const again = open(onBatch);
  await send(1, 1);
  await settled();
  must(ports.length === 302, 'a second one, after the first was closed, gets nothing');
  again[Symbol.dispose]();
  await send(1, 1);
  await settled();
  must(ports.length === 302, 'disposing of it does not close it');
  return faults;
}
