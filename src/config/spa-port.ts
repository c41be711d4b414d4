import { isPort, type Port, parsePortRange } from '../packet/port.ts';
import { type Kind, parsed } from './kind.ts';

/** A port of `listen.spa`. */
export const spaPort: Kind<Port> = parsed(
  (text) => {
    const port = Number(/^(\d{1,5})\/udp$/.exec(text)?.[1]);
    return isPort(port) ? port : undefined;
  },
  {
    noun: 'a UDP port from 1 to 65535',
    form: 'one port and its protocol, for example 62201/udp',
    hint: (text) =>
      parsePortRange(text) === undefined || !text.includes('-')
        ? undefined
        : "name one port: clients send to one, and all of a range's packets would have to be looked into",
    schema: { type: 'string', pattern: '^[0-9]{1,5}/udp$' },
  },
);
