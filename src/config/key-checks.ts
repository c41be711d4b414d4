import { formatPortRange, meet, type PortRange } from '../packet/port.ts';
import { type Sound, soundOf } from './cross-checks.ts';
import type { Reading } from './document.ts';
import type { DoorEntry } from './doors.ts';
import type { Fields } from './field.ts';
import type { RootShape } from './schema.ts';
import { QUEUE_NUMBER_MAX } from './value.ts';

/** NFLOG groups are 16 bits. */
const GROUP_MAX = 65_535;

/** Says where what the configuration has of keys contradicts the rest of it. */
export function ofKeys(root: Fields<RootShape>, doors: readonly DoorEntry[], reading: Reading): void {
  const listen = root.listen.value;
  const spa = soundOf(listen?.spa.value);
  for (const { fields } of doors) {
    if (fields.knock.value?.length !== 0 || listen?.spa.value?.length !== 0) continue;
    const fix = 'add a port for keys to listen, for example listen: { spa: [62201/udp] }';
    reading.fault(fields.knock.spot, 'the door opens by key alone, and no port takes keys', fix);
  }
  if (listen === undefined || spa.length === 0) return;
  ofNumbers(listen, reading);
  const used = [...soundOf(root.allow.value), ...doors.flatMap(portsOf)];
  const decoys = root.decoys.value === 'all' ? [] : soundOf(root.decoys.value);
  const single = decoys.filter(({ value }) => value.first === value.last);
  for (const { value: port, spot } of spa) {
    const range = { protocol: 'udp', first: port, last: port } as const;
    const other = [...used, ...single].find(({ value }) => meet(value, range));
    if (other === undefined) continue;
    const problem = `${formatPortRange(range)} is ${other.spot.key} too, and packets of keys would never get there`;
    reading.fault(spot, problem, 'take another port, here or there');
  }
}

/** The queue and the group after those for knocks are the keys' own. */
function ofNumbers({ source, queues, group, spa }: ListenFields, reading: Reading): void {
  if (source.value === 'nfqueue' && queues.value !== undefined && queues.value.last >= QUEUE_NUMBER_MAX) {
    const place = queues.given ? queues.spot : spa.spot;
    reading.fault(
      place,
      'no queue is left for keys, which have the one after the last',
      'take a lower number',
    );
  }
  if (source.value === 'nflog' && group.value !== undefined && group.value >= GROUP_MAX) {
    const place = group.given ? group.spot : spa.spot;
    reading.fault(place, 'no group is left for keys, which have the one after it', 'take a lower number');
  }
}

type ListenFields = NonNullable<Fields<RootShape>['listen']['value']>;

function portsOf({ fields }: DoorEntry): readonly Sound<PortRange>[] {
  const steps = [...soundOf(fields.knock.value), ...soundOf(fields.close.value)];
  return [
    ...steps.map(({ value, spot }) => ({ value: { ...value, first: value.port, last: value.port }, spot })),
    ...soundOf(fields.opens.value),
  ];
}
