/*
 * NFQUEUE (linux/netfilter/nfnetlink_queue.h): the kernel sends one datagram a packet and holds the packet until
 * a verdict. Ours is always DROP, so one batch verdict settles everything up to an id as soon as it is read.
 */
#ifndef NFQUEUE_H
#define NFQUEUE_H

#include <linux/netlink.h>
#include <sys/socket.h>

#include "capture.h"

/* Datagrams read with one call. More gains nothing: 16 were as quick. */
#define NFQUEUE_DATAGRAMS 128
/* Everything around the payload in a message: headers, addresses, stamp, mark: 200 bytes on Linux 6.18. */
#define NFQUEUE_OVERHEAD_BYTES 512
#define NFQUEUE_SLOT_BYTES_MIN 1024

struct nfqueue_options {
	uint16_t queue;
	uint32_t copy_range;
	uint32_t receive_buffer;
	uint32_t max_length;
};

struct nfqueue {
	struct capture capture;
	uint32_t slot_bytes;
	/* The greatest id that a message told; ids of a queue count up from 1 and wrap. */
	uint32_t last_id;
	/* A verdict up to `verdict_id` is still to be sent. */
	bool verdict_due;
	uint32_t verdict_id;
	/* Ids that no message came for: packets that did not fit into the socket's buffer. */
	uint64_t missing;
	struct mmsghdr headers[NFQUEUE_DATAGRAMS];
	struct iovec slots[NFQUEUE_DATAGRAMS];
	struct sockaddr_nl names[NFQUEUE_DATAGRAMS];
};

struct batch_size nfqueue_batch_size(const struct nfqueue_options *options);
/* Binds the queue. `batch` is as large as nfqueue_batch_size says. False: `failure` says why, nothing is open. */
bool nfqueue_open(struct nfqueue *queue, const struct nfqueue_options *options, const struct batch *batch,
		  struct failure *failure);
/* How many packets the kernel may hold from now on; those that wait stay. 0, or errno. */
int nfqueue_set_length(struct capture *capture, uint32_t max_length);

/* For tests: a queue without a socket; reads `received` datagrams that lie in the slots; sends what verdict is due. */
void nfqueue_prepare(struct nfqueue *queue, const struct nfqueue_options *options, const struct batch *batch);
int nfqueue_take(struct nfqueue *queue, uint32_t received);
int nfqueue_settle(struct nfqueue *queue);

#endif
