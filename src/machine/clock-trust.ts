import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { clockIsSynchronised } from '@nfknock/nfqueue';

/** What can be known of the machine's wall clock. */
export interface ClockTrust {
  /** This boot of the machine; empty where it can't be told from others. */
  readonly boot: string;
  /** Kept in step with other clocks. */
  synchronised(): boolean;
  /** A clock that runs while the machine is off. */
  hasRtc(): boolean;
}

/** Set by the unit, whose walls hide /proc/sys (`ProcSubset=pid`). */
const BOOT_VARIABLE = 'NFKNOCK_BOOT_ID';
const BOOT_FILE = '/proc/sys/kernel/random/boot_id';
const RTC_FOLDER = '/sys/class/rtc';
/** systemd-timesyncd's own sign, for where the kernel may not be asked. */
const TIMESYNC = '/run/systemd/timesync/synchronized';

export const systemTrust: ClockTrust = {
  boot: bootId(),
  synchronised: () => clockIsSynchronised() ?? existsSync(TIMESYNC),
  hasRtc() {
    try {
      return readdirSync(RTC_FOLDER).length > 0;
    } catch {
      return false;
    }
  },
};

function bootId(): string {
  const given = process.env[BOOT_VARIABLE];
  if (given !== undefined && given !== '') return given.replaceAll('-', '');
  try {
    return readFileSync(BOOT_FILE, 'utf8').trim().replaceAll('-', '');
  } catch {
    return '';
  }
}
