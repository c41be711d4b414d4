import { isPort, PORT_MAX, type PortRange, type PortSpec, type Protocol } from '../packet/port.ts';

/*
 * A knock of which some digits are an authenticator's: 1????/tcp stands for every port from 10000 to 19999, and the code
 * 4913 9586 makes 1???? 2???? into 14913 29586.
 */

/** Digits of a code in all: what authenticators show. */
export const CODE_DIGITS = { min: 6, max: 8 } as const;

/** A step whose last digits are those of the code. */
export interface CodeStep {
  readonly protocol: Protocol;
  /** The port with 0 for each digit of the code. */
  readonly base: number;
  readonly digits: number;
}

export type TemplateStep = PortSpec | CodeStep;
export type Template = readonly TemplateStep[];

/** What is wrong with a template. */
export type TemplateProblem =
  /** A first knock that is 10,000 ports would earn no scan a strike. */
  | 'first'
  /** Not 6, 7 or 8 digits in all, or none. */
  | 'digits'
  /** A code's ranges meet each other, or a fixed knock. */
  | 'overlap';

/** Reads `7000/tcp` or `1????/tcp`; undefined: it is neither, or some of its ports would be none. */
export function parseTemplateStep(text: string): TemplateStep | undefined {
  const match = /^([1-9]\d{0,4})(\?{0,4})(?:\/(tcp|udp))?$/.exec(text);
  if (match === null) return undefined;
  const [, prefix = '', marks = ''] = match;
  const protocol = match[3] === 'udp' ? 'udp' : 'tcp';
  const digits = marks.length;
  const base = Number(prefix) * 10 ** digits;
  if (digits > 0) return base + 10 ** digits - 1 <= PORT_MAX ? { protocol, base, digits } : undefined;
  return isPort(base) ? { protocol, port: base } : undefined;
}

/** Every port that a step may be. */
export function rangeOf(step: TemplateStep): PortRange {
  const [first, last] =
    'port' in step ? [step.port, step.port] : [step.base, step.base + 10 ** step.digits - 1];
  if (!isPort(first) || !isPort(last)) throw new Error('a step outside of the ports');
  return { protocol: step.protocol, first, last };
}

/** What is wrong with a template; undefined: nothing. */
export function templateProblem(template: Template): TemplateProblem | undefined {
  const [first] = template;
  if (first === undefined || !('port' in first)) return 'first';
  const digits = digitsOf(template);
  if (digits < CODE_DIGITS.min || digits > CODE_DIGITS.max) return 'digits';
  const ranges = template.map((step) => ({ range: rangeOf(step), fixed: 'port' in step }));
  const meets = ranges.some(({ range: x, fixed }, index) =>
    ranges.some(
      ({ range: y, fixed: other }, at) =>
        // Two fixed knocks are not this page's business.
        at > index &&
        !(fixed && other) &&
        x.protocol === y.protocol &&
        x.first <= y.last &&
        y.first <= x.last,
    ),
  );
  return meets ? 'overlap' : undefined;
}

/** Digits of the code that a template takes. */
export function digitsOf(template: Template): number {
  return template.reduce((sum, step) => sum + ('port' in step ? 0 : step.digits), 0);
}

/** The ports that a code makes of a template; undefined: it has not as many digits. */
export function knocksOf(template: Template, code: string): readonly PortSpec[] | undefined {
  if (!/^\d+$/.test(code) || code.length !== digitsOf(template)) return undefined;
  const knocks: PortSpec[] = [];
  let at = 0;
  for (const step of template) {
    if ('port' in step) {
      knocks.push(step);
      continue;
    }
    const port = step.base + Number(code.slice(at, at + step.digits));
    at += step.digits;
    if (isPort(port)) knocks.push({ protocol: step.protocol, port });
  }
  return knocks;
}

/** The code that some knocks hold; undefined: they are not knocks of this template. */
export function codeOf(template: Template, knocks: readonly PortSpec[]): string | undefined {
  if (knocks.length !== template.length) return undefined;
  let code = '';
  for (const [index, step] of template.entries()) {
    const knock = knocks[index];
    const { first, last, protocol } = rangeOf(step);
    if (knock?.protocol !== protocol || knock.port < first || knock.port > last) return undefined;
    if (!('port' in step)) code += String(knock.port - step.base).padStart(step.digits, '0');
  }
  return code;
}
