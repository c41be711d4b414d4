/** A line of the log as it was read back: any field may be missing, and none is to be believed. */
export interface ReadLine {
  readonly time: string;
  readonly event: string;
  readonly level?: string;
  readonly source?: string;
  readonly door?: string;
  readonly port?: string;
  readonly ports?: readonly string[];
  readonly reason?: string;
  readonly detail?: string;
  readonly key?: string;
  readonly person?: string;
  readonly until?: string;
  readonly strikes?: number;
  readonly exempt?: string;
  readonly step?: number;
  readonly of?: number;
  readonly count?: number;
  readonly shadow?: boolean;
  readonly origin?: string;
  readonly member?: string;
  readonly members?: readonly string[];
  readonly grantee?: string;
  readonly of_event?: string;
}

type Kind = 'string' | 'number' | 'boolean' | 'strings';

const KINDS: { readonly [Field in keyof Required<ReadLine>]: Kind } = {
  time: 'string',
  level: 'string',
  event: 'string',
  source: 'string',
  door: 'string',
  port: 'string',
  ports: 'strings',
  reason: 'string',
  detail: 'string',
  key: 'string',
  person: 'string',
  until: 'string',
  strikes: 'number',
  exempt: 'string',
  step: 'number',
  of: 'number',
  count: 'number',
  shadow: 'boolean',
  origin: 'string',
  member: 'string',
  members: 'strings',
  grantee: 'string',
  of_event: 'string',
};

/** Reads a line; undefined where it is not one of ours. Fields of a wrong type are left out. */
export function readLine(text: string): ReadLine | undefined {
  const found = parseObject(text);
  if (found === undefined) return undefined;
  const kept = Object.entries(KINDS).flatMap(([field, kind]) =>
    is(kind, found[field]) ? [[field, found[field]]] : [],
  );
  const line = Object.fromEntries(kept) as Partial<ReadLine>;
  return line.time === undefined || line.event === undefined ? undefined : (line as ReadLine);
}

function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  // Most foreign lines are told apart without the cost of an exception.
  if (!text.trimStart().startsWith('{')) return undefined;
  try {
    return JSON.parse(text) as Readonly<Record<string, unknown>>;
  } catch {
    return undefined;
  }
}

function is(kind: Kind, value: unknown): boolean {
  return kind === 'strings'
    ? Array.isArray(value) && value.every((each) => typeof each === 'string')
    : typeof value === kind;
}
