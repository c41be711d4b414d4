import { confirm, isCancel, log, multiselect, select, text } from '@clack/prompts';
import { formatPortRange, parsePortRange } from '../../packet/port.ts';
import { type Answers, type Method, othersOf, recommended } from './answers.ts';
import { Cancelled } from './cancelled.ts';
import type { Found } from './survey.ts';

/** What flags have settled already is not asked. */
export type Settled = Partial<Answers>;

/** The four questions. Rejects with Cancelled. */
export async function ask(found: Found, settled: Settled, sshKey: string | null): Promise<Answers> {
  const opens = settled.opens ?? (await askOpens(found));
  const allow = settled.allow ?? (await askAllow(found, opens));
  const method = settled.method ?? (await askMethod(found, sshKey));
  const never = settled.never ?? (await askNever(found));
  return {
    door: settled.door ?? doorName(found, opens),
    opens,
    allow,
    method,
    sshKey: method === 'ssh' ? (settled.sshKey ?? sshKey) : null,
    never,
    host: settled.host ?? hostOf(found),
  };
}

/** A last word before anything is changed. Rejects with Cancelled. */
export async function agreed(message: string, initialValue: boolean): Promise<boolean> {
  return answered(await confirm({ message, initialValue }));
}

export function doorName({ ssh }: Found, opens: readonly string[]): string {
  return opens.every((port) => ssh.includes(port) || port === '22/tcp') ? 'ssh' : 'door';
}

/** As clients call this machine: what the session's client did, else its name. */
export function hostOf({ session, hostname }: Found): string {
  return session?.server ?? hostname;
}

async function askOpens({ ssh }: Found): Promise<readonly string[]> {
  const found = ssh.join(', ');
  const where = found === '' ? 'No SSH server was found here' : `Your SSH server listens on ${found}`;
  const written = answered(
    await text({
      message: `1 of 4. What do you want to hide? ${where}. (Enter takes this; for several: 22/tcp, 51820/udp)`,
      initialValue: found === '' ? '22/tcp' : found,
      validate: (value) => portsOf(value ?? '').fault,
    }),
  );
  return portsOf(written).ports;
}

/** Ports as people write them. */
export function portsOf(text: string): {
  readonly ports: readonly string[];
  readonly fault: string | undefined;
} {
  const words = text.split(/[\s,]+/).filter((word) => word !== '');
  const ranges = words.map(parsePortRange);
  const wrong = words.find((_, at) => ranges[at] === undefined);
  if (words.length === 0) return { ports: [], fault: 'write a port, such as 22/tcp' };
  if (wrong !== undefined)
    return {
      ports: [],
      fault: `${wrong} is not a port: write 1 to 65535, with /tcp or /udp, such as 22/tcp`,
    };
  return { ports: ranges.flatMap((range) => range ?? []).map(formatPortRange), fault: undefined };
}

async function askAllow(found: Found, opens: readonly string[]): Promise<readonly string[]> {
  const others = othersOf(found, opens);
  if (others.length === 0) {
    log.step('2 of 4. What stays open to everyone? Nothing: no other service was found here.');
    return [];
  }
  return answered(
    await multiselect({
      message:
        '2 of 4. What stays open to everyone? These are served here; what is not marked is closed. (Space marks, Enter goes on)',
      options: others.map(({ port, program }) => ({
        value: port,
        label: program === '' ? port : `${port}  ${program}`,
      })),
      initialValues: others.map(({ port }) => port),
      required: false,
    }),
  );
}

async function askMethod(found: Found, sshKey: string | null): Promise<Method> {
  const best = recommended(found);
  const key = {
    value: 'key' as const,
    label: best === 'key' ? 'A new key (recommended)' : 'A new key',
    hint:
      best === 'key'
        ? 'one packet; of no use to anyone who reads it on the way'
        : 'one packet; needs a clock that is right, and that of this machine is not',
  };
  const ssh = {
    value: 'ssh' as const,
    label: 'The SSH key that you log in with',
    hint: `one packet that it signs; the only secret made is a spare key (${sshKey ?? ''})`,
  };
  const sequence = {
    value: 'sequence' as const,
    label: best === 'sequence' ? 'Four secret knocks (recommended)' : 'Four secret knocks',
    hint: 'any program that sends packets can knock; anyone who reads them can repeat them',
  };
  const keys = sshKey === null ? [key] : [key, ssh];
  return answered(
    await select<Method>({
      message: '3 of 4. How do you want to knock?',
      options: best === 'key' ? [...keys, sequence] : [sequence, ...keys],
      initialValue: best,
    }),
  );
}

async function askNever({ session, networks }: Found): Promise<readonly string[]> {
  const host = session === null ? [] : [session.client];
  const choices = [
    ...(session === null
      ? []
      : [{ value: 'host', label: `${session.client}, from which you are connected now` }]),
    ...networks.map((network) => ({
      value: network,
      label:
        session === null
          ? `the network ${network} of this machine`
          : `${session.client}, and the network ${network} of this machine`,
    })),
    { value: 'nobody', label: 'nobody' },
  ];
  const chosen = answered(
    await select({
      message: '4 of 4. Who must never be banned, however wrongly they knock?',
      options: choices,
      initialValue: session === null ? 'nobody' : 'host',
    }),
  );
  if (chosen === 'nobody') return [];
  return chosen === 'host' ? host : [...host, chosen];
}

function answered<Value>(value: Value): Exclude<Value, symbol> {
  if (isCancel(value)) throw new Cancelled();
  return value as Exclude<Value, symbol>;
}
