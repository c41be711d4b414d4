#include "capture.h"

#include <errno.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>

void capture_add(struct capture *self, const struct nfnl_packet *packet)
{
	uint32_t at = self->count++;
	self->batch.offsets[at] = (int32_t)(packet->payload - self->batch.bytes);
	self->batch.lengths[at] = (int32_t)packet->payload_length;
	self->batch.full_lengths[at] = (int32_t)packet->full_length;
	self->batch.stamps[at] = packet->stamp;
}

bool capture_receive_failed(struct capture *self, int *error)
{
	*error = 0;
	switch (errno) {
	case EINTR:
		return true;
	case ENOBUFS:
		/* The buffer ran over. Reading the report has cleared it, and what did arrive still waits. */
		self->counts.overruns++;
		return true;
	case ENOMEM:
	case EAGAIN:
		return false;
	default:
		*error = errno;
		return false;
	}
}

bool capture_is_foreign(const void *name, uint32_t length)
{
	struct sockaddr_nl sender;
	if (length != sizeof sender)
		return true;
	memcpy(&sender, name, sizeof sender);
	return sender.nl_family != AF_NETLINK || sender.nl_pid != 0;
}

bool capture_has_room(const struct capture *self)
{
	return self->used + DATAGRAM_BYTES_MAX <= self->batch.bytes_length && self->count < self->batch.capacity;
}

int capture_receive(struct capture *self, struct datagram *datagram)
{
	struct sockaddr_nl name;
	struct iovec room = { .iov_base = self->batch.bytes + self->used, .iov_len = DATAGRAM_BYTES_MAX };
	struct msghdr header = { .msg_iov = &room, .msg_iovlen = 1, .msg_name = &name };
	ssize_t got;
	int error;
	do {
		header.msg_namelen = sizeof name;
		got = recvmsg(self->socket.fd, &header, MSG_DONTWAIT);
	} while (got < 0 && capture_receive_failed(self, &error));
	if (got < 0)
		return -error;
	*datagram = (struct datagram){ .at = self->used, .truncated = (header.msg_flags & MSG_TRUNC) != 0 };
	if (capture_is_foreign(&name, header.msg_namelen)) {
		self->counts.errors++;
		return 1;
	}
	datagram->length = (uint32_t)got;
	/* What nobody takes of it is read over. */
	self->used += ((uint32_t)got + 7u) & ~7u;
	return 1;
}
