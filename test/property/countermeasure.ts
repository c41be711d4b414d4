import { IN_THE_ENGINE } from './countermeasure-engine.ts';
import { ON_THE_KERNEL } from './countermeasure-kernel.ts';
import { IN_THE_KEYS } from './countermeasure-spa.ts';

/** A countermeasure of docs/threat-model.md, how it is taken out, and which test must then fail. */
export interface Countermeasure {
  readonly name: string;
  readonly file: string;
  /** What stands there once, and what is written in its place. */
  readonly from: string;
  readonly to: string;
  readonly test: string;
  /** A pattern of the test's name. */
  readonly of: string;
}

const TIME = 'test/attacks/engine/time.test.ts';
const FLOOD = 'test/attacks/engine/flood.test.ts';

export const COUNTERMEASURES: readonly Countermeasure[] = [
  ...IN_THE_ENGINE,
  ...ON_THE_KERNEL,
  ...IN_THE_KEYS,
  {
    name: 'stamps from the future are not believed',
    file: 'src/clock.ts',
    from: ' && moment <= now + 1',
    to: '',
    test: TIME,
    of: 'from the future, read at once, make nobody too fast',
  },
  {
    name: 'stamps from long ago are not believed',
    file: 'src/clock.ts',
    from: ' && moment >= now - STAMP_AGE_MAX',
    to: '',
    test: TIME,
    of: 'are not believed, and knocks are judged by when they were read',
  },
  {
    name: 'stamps from before the wall clock was set are not believed',
    file: 'src/clock.ts',
    from: 'stamp > 0 && believed &&',
    to: 'stamp > 0 &&',
    test: 'test/unit/clock.test.ts',
    of: 'are not believed right after the wall clock was set',
  },
  {
    name: 'the kernel’s stamps, not the moment of reading, say how fast a knock was',
    file: 'src/clock.ts',
    from: 'stamped ? Math.min(moment, now) : now',
    to: 'now',
    test: TIME,
    of: 'judges knocks by the moments of their arrival',
  },
  {
    name: 'nobody is too fast on packets without a stamp',
    file: 'src/engine/in-time.ts',
    from: 'knock.stamped && gap <',
    to: 'gap <',
    test: TIME,
    of: 'finds nobody too fast where the packets have no stamps',
  },
  {
    name: 'the distance of the two clocks is taken anew for each batch',
    file: 'src/clock.ts',
    from: 'offset = clock.wallOf(now) - now;',
    to: 'if (offset === 0) offset = clock.wallOf(now) - now;',
    test: TIME,
    of: 'leaves stamps that are believed again once the wall clock stands',
  },
  {
    name: 'wrong packets within `tolerate` pass',
    file: 'src/engine/describe.ts',
    from: "return (seen & SEEN.patient) !== 0 ? 'tolerated' : 'broken'",
    to: "return 'broken'",
    test: FLOOD,
    of: 'an owner while he knocks break him off at once, or only beyond what his door tolerates',
  },
  {
    name: 'repeats are no offence',
    file: 'src/engine/describe.ts',
    from: "if (repeats || (seen & SEEN.made) !== 0) return 'repeat';",
    to: '',
    test: 'test/attacks/engine/same-address.test.ts',
    of: 'at the same door open it and earn no strike',
  },
  {
    name: '`check` warns of the ban oracle',
    file: 'src/strength/weak-bans.ts',
    from: 'if (leaks(config)) {',
    to: 'if (!config && leaks(config)) {',
    test: 'test/attacks/engine/guessing.test.ts',
    of: 'is warned of by `check`',
  },
  {
    name: 'addresses are not folded from IPv6 to IPv4',
    file: 'src/packet/decode.ts',
    from: '  const total = IPV6_HEADER_BYTES + u16(bytes, offset + 4);',
    to: `  if (packet.source2 === 0xffff) {
    packet.family = 4;
    packet.source0 = packet.source3;
    packet.source1 = packet.source2 = packet.source3 = 0;
  }
  const total = IPV6_HEADER_BYTES + u16(bytes, offset + 4);`,
    test: 'test/attacks/engine/packets.test.ts',
    of: 'an IPv4 address written as IPv6 is another source',
  },
  {
    name: 'lines of the log are suppressed by source and event',
    file: 'src/log/suppress.ts',
    from: 'return meter === undefined || take(meter, event, now);',
    to: 'return meter === undefined || take(meter, event, now) || true;',
    test: 'test/unit/log/suppress.test.ts',
    of: 'from a thousand forged sources is written up to twice the limit',
  },
  {
    name: 'the key of the tables is random',
    file: 'src/daemon/random-key.ts',
    from: 'randomBytes(8)',
    to: 'Buffer.alloc(8)',
    test: FLOOD,
    of: 'since the key is drawn anew at each start',
  },
  {
    name: 'what is no request is refused, not thrown at',
    file: 'src/control/message.ts',
    from: `  } catch {
    return undefined;
  }`,
    to: `  } catch (error) {
    throw error;
  }`,
    test: 'test/unit/control/fuzz.test.ts',
    of: 'leave a daemon that answers',
  },
  {
    name: 'the mode of the control socket',
    file: 'src/control/socket.ts',
    from: 'chmodSync(path, 0o660);',
    to: 'chmodSync(path, 0o666);',
    test: 'test/unit/control/server.test.ts',
    of: 'is for its owner and its group alone',
  },
];
