import { createSocket } from 'node:dgram';

/*
 * Discovery as SSDP does it, with sockets that are connected to nobody. Prints a line for each thing that happens.
 *
 *   ask FAMILY GROUP INTERFACE [PORT]     asks the group, says `port N`, and says `heard TEXT` of each answer
 *   answer FAMILY GROUP INTERFACE         a device: answers each question from another port than it was asked at
 */

const [role, family, group, link, port = '0'] = process.argv.slice(2);
const type = family === '6' ? 'udp6' : 'udp4';
const say = (text) => process.stdout.write(`${text}\n`);
const socket = createSocket({ type, reuseAddr: role === 'answer' });

if (role === 'ask') {
  socket.on('message', (text) => say(`heard ${text}`));
  socket.bind(Number(port), () => {
    socket.setMulticastInterface(link);
    say(`port ${socket.address().port}`);
    socket.send('M-SEARCH', 1900, group);
  });
} else {
  socket.on('message', (text, { address, port: asked }) => {
    say(`asked ${text} ${address} ${asked}`);
    const device = createSocket(type);
    device.send('here I am', asked, address, () => device.close());
  });
  socket.bind(1900, () => {
    socket.addMembership(group, link);
    say('ready');
  });
}
