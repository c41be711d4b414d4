#include "netlink.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SOL_NETLINK
#define SOL_NETLINK 270
#endif
#ifndef SO_MEMINFO
#define SO_MEMINFO 55
#endif

/* An entry of a list, at least: a full buffer is as many as the loop takes of packets before other work. */
#define MESSAGE_BYTES 64u
/* Room for one transaction: a chain's rules in one piece. */
#define SEND_BUFFER_BYTES (1024 * 1024)

static struct netlink *of(struct capture *capture)
{
	return (struct netlink *)(void *)((char *)capture - offsetof(struct netlink, capture));
}

struct batch_size netlink_batch_size(void)
{
	return (struct batch_size){ .bytes = NETLINK_BUFFER_BYTES, .capacity = NETLINK_DATAGRAMS };
}

/*
 * How many messages the kernel has thrown away, exactly: the socket is told of no overrun (NETLINK_NO_ENOBUFS), since
 * such a report comes as an error of the socket, does not say how many, and has the kernel throw away everything
 * until the buffer is empty.
 */
static uint32_t drops_of(const struct netlink *self)
{
	uint32_t values[SK_MEMINFO_VARS] = { 0 };
	socklen_t length = sizeof values;
	bool known = getsockopt(self->capture.socket.fd, SOL_SOCKET, SO_MEMINFO, values, &length) == 0 &&
		     length > SK_MEMINFO_DROPS * sizeof values[0];
	return known ? values[SK_MEMINFO_DROPS] : self->drops;
}

static void note_drops(struct netlink *self, uint64_t reports)
{
	uint32_t drops = drops_of(self);
	uint32_t lost = drops - self->drops;
	self->drops = drops;
	/* A report, where there is one after all, stands for at least one. */
	if (lost == 0 && reports > 0)
		lost = 1;
	self->capture.counts.user_dropped += lost;
	self->capture.lost += lost;
}

static void take(struct netlink *self, const struct datagram *datagram)
{
	struct nfnl_packet packet = {
		.payload = self->capture.batch.bytes + datagram->at,
		.payload_length = datagram->length,
		.full_length = datagram->length,
	};
	if (datagram->truncated) {
		/* Larger than anything that we ask for: what it said is lost. */
		self->capture.used = datagram->at;
		self->capture.counts.errors++;
		self->capture.lost++;
	} else if (datagram->length > 0) {
		capture_add(&self->capture, &packet);
	}
}

static int fill(struct capture *capture)
{
	struct netlink *self = of(capture);
	uint64_t reports = capture->counts.overruns;
	struct datagram datagram;
	int result = 1;
	capture->count = 0;
	capture->used = 0;
	while (capture_has_room(capture) && (result = capture_receive(capture, &datagram)) > 0)
		take(self, &datagram);
	if (result < 0)
		return result;
	note_drops(self, capture->counts.overruns - reports);
	capture->more = result > 0;
	/* A list comes with some hundred entries a datagram: of a long one the loop must not read all at once. */
	capture->weight = capture->used / MESSAGE_BYTES;
	capture->counts.packets += capture->count;
	return (int)capture->count;
}

static uint32_t tick(struct capture *capture, uint64_t now)
{
	(void)capture;
	(void)now;
	return 0;
}

static void count(const struct capture *capture, struct counts *counts)
{
	*counts = capture->counts;
}

static const struct capture_kind kind = { .fill = fill, .tick = tick, .count = count };

bool netlink_open(struct netlink *self, uint32_t receive_buffer, const struct batch *batch, struct failure *failure)
{
	int bytes = SEND_BUFFER_BYTES;
	memset(self, 0, sizeof *self);
	self->capture.kind = &kind;
	self->capture.batch = *batch;
	/* Whoever asks waits for the answer: it is read at once. */
	self->capture.eager = true;
	if (!socket_open(&self->capture.socket, receive_buffer, failure))
		return false;
	if (setsockopt(self->capture.socket.fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes) != 0)
		(void)setsockopt(self->capture.socket.fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
	self->drops = drops_of(self);
	return true;
}

int netlink_join(struct capture *capture, uint32_t group)
{
	/* Events come in bursts. */
	capture->eager = false;
	return setsockopt(capture->socket.fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) == 0 ? 0 : errno;
}

int netlink_leave(struct capture *capture, uint32_t group)
{
	return setsockopt(capture->socket.fd, SOL_NETLINK, NETLINK_DROP_MEMBERSHIP, &group, sizeof group) == 0 ? 0 : errno;
}

int netlink_send(struct capture *capture, const void *bytes, size_t length)
{
	ssize_t sent;
	do
		sent = send(capture->socket.fd, bytes, length, MSG_DONTWAIT);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? errno : 0;
}
