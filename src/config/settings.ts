import type { DoorSettings, EngineSettings } from '../engine/settings.ts';
import type { PortSpec } from '../packet/port.ts';
import type { Config, Door } from '../policy/config.ts';

/**
 * What the engine needs of a configuration. `nextSequence` answers the sequence that opens a one-time door now:
 * the first unused line of its file, or none.
 */
export function settingsOf(
  config: Config,
  nextSequence: (door: Door) => readonly PortSpec[],
): EngineSettings {
  const { doors, decoys, allow, bans, memory } = config;
  return {
    doors: doors.map((door) => doorSettings(door, nextSequence)),
    decoys,
    allow,
    bans,
    sources: memory.sources,
  };
}

function doorSettings(door: Door, nextSequence: (door: Door) => readonly PortSpec[]): DoorSettings {
  const { name, close, within, gap, tolerate, flags, opens, uses, holders, grant } = door;
  const oneTime = 'oneTime' in door.knock;
  const knock = 'oneTime' in door.knock ? nextSequence(door) : door.knock;
  return {
    name,
    knock,
    oneTime,
    close,
    within,
    gap,
    tolerate,
    flags,
    opens,
    for: door.for,
    uses,
    holders,
    grant,
  };
}
