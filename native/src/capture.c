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
