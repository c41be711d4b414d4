import type { NfknockEvent } from '../engine/event.ts';
import { formatLine } from '../log/line.ts';
import { createSuppressor } from '../log/suppress.ts';
import { type Milliseconds, milliseconds } from '../packet/time.ts';
import type { Output } from './output.ts';

/** Prints events as the daemon's log would have them, a flood's lines counted as there. */
export interface Printer {
  add(event: NfknockEvent): void;
  /** Says what was counted and not yet said. */
  end(): void;
}

export function createPrinter(output: Output): Printer {
  // A replay is looked at by someone who wants to know: it says what `log.level` would leave out.
  const suppressor = createSuppressor('debug');
  let last: Milliseconds = milliseconds(0);

  const print = (event: NfknockEvent): void => output.line(formatLine(event, (at) => at));
  const sayCounted = (until: Milliseconds): void => {
    for (let due = suppressor.deadline(); due !== undefined && due <= until; due = suppressor.deadline()) {
      for (const counted of suppressor.flush(due)) print(counted);
    }
  };
  return {
    add(event) {
      sayCounted(event.at);
      last = event.at;
      if (suppressor.admit(event, event.at)) print(event);
    },
    end() {
      for (const counted of suppressor.drain(last)) print(counted);
    },
  };
}
