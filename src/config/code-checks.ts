import { formatPort, formatPortRange, meet, type PortRange, type PortSpec, rangeOf } from '../packet/port.ts';
import { CODE_DIGITS, templateProblem } from '../spa/code-template.ts';
import { type Sound, soundOf } from './cross-checks.ts';
import type { Reading } from './document.ts';
import type { DoorEntry } from './doors.ts';
import type { Fields } from './field.ts';
import type { RootShape } from './schema.ts';

/** A port or ports that mean something, and where they do. */
type Used = Sound<PortRange>;

/** Says where sequences that take one-time codes contradict themselves, or the rest of the configuration. */
export function ofCodes(root: Fields<RootShape>, doors: readonly DoorEntry[], reading: Reading): void {
  const decoys = root.decoys.value === 'all' ? [] : soundOf(root.decoys.value);
  const others = [
    ...soundOf(root.allow.value),
    // In a range of decoys those that are knocks are left out.
    ...decoys.filter(({ value }) => value.first === value.last),
    ...soundOf(root.listen.value?.spa.value).map(({ value: port, spot }): Used => {
      return { value: { protocol: 'udp', first: port, last: port }, spot };
    }),
    ...doors.flatMap(({ fields }) => [
      ...soundOf(fields.opens.value),
      ...soundOf(fields.close.value).map(asRange),
    ]),
  ];
  const knocks = doors.flatMap(({ fields }) => soundOf(fields.knock.value));
  const isCode = ({ value }: Sound<PortSpec>): boolean => value.digits !== undefined;
  for (const [at, door] of doors.entries()) {
    const steps = soundOf(door.fields.knock.value);
    ofSequence(door, steps, reading);
    ofTwins(door, doors.slice(0, at), reading);
    for (const step of steps.filter(isCode)) {
      const knock = knocks.find((other) => clash(step.value, other.value));
      const met = [...(knock === undefined ? [] : [asRange(knock)]), ...others].find(({ value }) =>
        meet(rangeOf(step.value), value),
      );
      if (met === undefined || steps.some(({ spot }) => spot === met.spot)) continue;
      const problem = `${formatPort(step.value)} has ${formatPortRange(met.value)} in it, which is ${met.spot.key} too`;
      reading.fault(step.spot, problem, 'take other first digits here, or another port there');
    }
  }
}

/** Of two doors the same digits may be the same ports; else no port may be digits of a code and anything else. */
function clash(step: PortSpec, other: PortSpec): boolean {
  return meet(rangeOf(step), rangeOf(other)) && formatPort(step) !== formatPort(other);
}

function asRange({ value, spot }: Sound<PortSpec>): Used {
  return { value: rangeOf(value), spot };
}

/** One code would be knocked at two doors: used up at the first, and where it is wrong two of three wrong ones. */
function ofTwins({ fields }: DoorEntry, before: readonly DoorEntry[], reading: Reading): void {
  const steps = textOf(fields);
  if (!steps.includes('?')) return;
  const twin = before.find((other) => {
    const theirs = textOf(other.fields);
    return theirs.includes('?') && (theirs.startsWith(steps) || steps.startsWith(theirs));
  });
  if (twin === undefined) return;
  const problem = `these knocks, or those that they begin with, are those of door "${twin.name}", and a code opens one door`;
  reading.fault(
    fields.knock.spot,
    problem,
    'begin with another port here, or list both ports in "opens" of one door',
  );
}

function textOf(fields: DoorEntry['fields']): string {
  return soundOf(fields.knock.value)
    .map(({ value }) => `${formatPort(value)} `)
    .join('');
}

function ofSequence({ fields }: DoorEntry, steps: readonly Sound<PortSpec>[], reading: Reading): void {
  const problem = templateProblem(steps.map(({ value }) => value));
  const { spot } = fields.knock;
  if (problem === 'first') {
    const text = 'the first knock is a digit of a code, so that a scan would begin it with any port';
    reading.fault(steps[0]?.spot ?? spot, text, 'put a port of one number first, for example 7000/tcp');
  } else if (problem === 'digits') {
    const count = steps.reduce((sum, { value }) => sum + (value.digits ?? 0), 0);
    const text = `the knocks take ${count} digits of a code, and a code has ${CODE_DIGITS.min} to ${CODE_DIGITS.max}`;
    reading.fault(spot, text, 'write 8 of "?" in all, for example [7000/tcp, 1????/tcp, 2????/tcp]');
  } else if (problem === 'overlap') {
    const text = 'one port is two of these knocks, so that the digits of the code could not be told';
    reading.fault(spot, text, 'give each other first digits, for example [7000/tcp, 1????/tcp, 2????/tcp]');
  }
}
