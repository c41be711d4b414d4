import { isDoorName } from '../policy/door-name.ts';
import type {
  Answers,
  Attempt,
  BanRow,
  Changed,
  DoorStatus,
  ExplainRow,
  Explanation,
  GrantRow,
  Health,
  Problem,
  QueueStatus,
  Refusal,
  Reloaded,
  SourceRow,
  Status,
} from './answers.ts';
import {
  flag,
  list,
  moment,
  nullable,
  number,
  oneOf,
  optional,
  record,
  type Shape,
  table,
  text,
} from './shape.ts';

/** A name that completion puts on a command line: no other text of a daemon is taken for one. */
const doorName: Shape<string> = (value): value is string => text(value) && isDoorName(value);

const health = record<Health>({ ok: flag, reason: nullable(text) });
const grant = record<GrantRow>({
  door: doorName,
  grantee: text,
  source: text,
  since: moment,
  until: moment,
  uses_left: nullable(number),
  reason: nullable(text),
});
const ban = record<BanRow>({ target: text, since: moment, until: moment, count: number, shadow: flag });
const attempt = record<Attempt>({ door: doorName, step: number, of: number });
const changed = record<Changed>({ changed: number });

const queue = record<QueueStatus>({
  source: oneOf('nfqueue', 'nflog'),
  packets: number,
  batches: number,
  depth: nullable(number),
  kernel_dropped: nullable(number),
  user_dropped: number,
  errors: number,
  overruns: number,
  lag: nullable(number),
});

const status = record<Status>({
  version: text,
  pid: number,
  uptime: number,
  config: text,
  doors: list(record<DoorStatus>({ name: doorName, ports: list(text), open: number, opened: number })),
  packets: table(number),
  queue,
  bans: number,
  enforce: flag,
  sources: number,
  sources_max: number,
  state: health,
  firewall: health,
  events_lost: number,
  faults: number,
  problems: list(record<Problem>({ what: text, mend: text })),
  warnings: list(record<Problem>({ what: text, mend: text })),
});

const explained = record<ExplainRow>({
  time: moment,
  port: nullable(text),
  outcome: text,
  door: nullable(doorName),
  step: nullable(number),
  of: nullable(number),
  strikes: nullable(number),
  exempt: nullable(text),
  reason: nullable(text),
});

/** What each command's answer must be. */
export const EXPECTED: { readonly [Name in keyof Answers]: Shape<Answers[Name]> } = {
  status,
  grants: list(grant),
  grant,
  revoke: changed,
  bans: list(ban),
  ban,
  unban: changed,
  sources: list(
    record<SourceRow>({ source: text, strikes: number, attempts: list(attempt), banned: nullable(moment) }),
  ),
  explain: record<Explanation>({
    source: text,
    grants: list(grant),
    ban: nullable(ban),
    strikes: number,
    attempts: list(attempt),
    packets: list(explained),
    forgotten: number,
  }),
  reload: record<Reloaded>({ warnings: list(text) }),
  subscribe: record<Readonly<Record<string, never>>>({}),
};

/** Why a request was refused; the code may be one that only a newer daemon knows. */
export const REFUSAL: Shape<Refusal> = record<Refusal>({
  code: text as Shape<Refusal['code']>,
  message: text,
  mend: text,
  faults: optional(list(text)) as Shape<Refusal['faults'] & readonly string[]>,
});
