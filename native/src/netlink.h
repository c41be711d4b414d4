/*
 * A netfilter socket for requests with their answers, or for the events of multicast groups. The kernel's datagrams
 * are handed over whole, as they came; what they say is JavaScript's to read. What the kernel threw away because
 * the buffer was full is counted and told.
 */
#ifndef NFNETLINK_H
#define NFNETLINK_H

#include "capture.h"

/* Datagrams handed to JavaScript with one call. */
#define NETLINK_DATAGRAMS 256
/* Datagrams are read one behind the other into a buffer of so many bytes, while one of the largest size still fits. */
#define NETLINK_BUFFER_BYTES (256u * 1024u)

struct netlink {
	struct capture capture;
	/* What the socket had thrown away when it was last looked at; it counts round a circle. */
	uint32_t drops;
};

struct batch_size netlink_batch_size(void);
/* `batch` is as large as netlink_batch_size says. False: `failure` says why, nothing is open. */
bool netlink_open(struct netlink *netlink, uint32_t receive_buffer, const struct batch *batch,
		  struct failure *failure);
/* Joins or leaves a multicast group of linux/netfilter/nfnetlink.h. 0, or errno. */
int netlink_join(struct capture *capture, uint32_t group);
int netlink_leave(struct capture *capture, uint32_t group);
/* Sends messages to the kernel. 0, or errno. */
int netlink_send(struct capture *capture, const void *bytes, size_t length);

#endif
