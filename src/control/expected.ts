import type {
  Answers,
  Attempt,
  BanRow,
  Changed,
  ExplainRow,
  Explanation,
  GrantRow,
  KeyRow,
  Refusal,
  Reloaded,
  SourceRow,
  StandsDown,
} from './answers.ts';
import {
  doorName,
  flag,
  list,
  moment,
  nullable,
  number,
  optional,
  record,
  type Shape,
  text,
} from './shape.ts';
import { STATUS_SHAPE } from './status.ts';

const grant = record<GrantRow>({
  door: doorName,
  grantee: text,
  source: text,
  since: moment,
  until: moment,
  uses_left: nullable(number),
  reason: nullable(text),
  key: nullable(text),
  person: nullable(text),
  from: nullable(text),
});
const ban = record<BanRow>({
  target: text,
  since: moment,
  until: moment,
  count: number,
  shadow: flag,
  from: nullable(text),
});
const attempt = record<Attempt>({ door: doorName, step: number, of: number });
const changed = record<Changed>({ changed: number });

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
  key: nullable(text),
  person: nullable(text),
});

/** What each command's answer must be. */
export const EXPECTED: { readonly [Name in keyof Answers]: Shape<Answers[Name]> } = {
  status: STATUS_SHAPE,
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
  stand_down: record<StandsDown>({ stood_down: flag }),
  keys: list(
    record<KeyRow>({
      ...{ name: text, person: nullable(text), kind: text, doors: list(doorName), expires: nullable(moment) },
      ...{ used: number, uses: nullable(number), last_used: nullable(moment), grants: number },
    }),
  ),
  key_revoke: changed,
  reload: record<Reloaded>({ warnings: list(text) }),
  subscribe: record<Readonly<Record<string, never>>>({}),
};

/** Why a request was refused; the code may be one that only a newer daemon knows. */
export const REFUSAL: Shape<Refusal> = record<Refusal>({
  code: text as Shape<Refusal['code']>,
  message: text,
  fix: text,
  faults: optional(list(text)) as Shape<Refusal['faults'] & readonly string[]>,
});
