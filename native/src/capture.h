/*
 * A capture: a socket that packets come from, and the index of those that were read last. nfqueue.c and nflog.c
 * fill it, reader.c says when, addon.c shows it to JavaScript. Knows nothing of Node.
 */
#ifndef CAPTURE_H
#define CAPTURE_H

#include <stdbool.h>
#include <stdint.h>

#include "nfnl.h"
#include "socket.h"

/*
 * The largest datagram that is read behind others: NFLOG's greatest NLBUFSIZ, or one packet of 64 KiB and its headers;
 * lists come in datagrams of at most 32 KiB, a refusal carries the refused request back, and a request is under 64 KiB,
 * as an attribute's 16-bit length is.
 */
#define DATAGRAM_BYTES_MAX (128u * 1024u)

/* Where a batch is written: one piece of memory, allocated by the caller and reused. */
struct batch {
	/* Room for `bytes_length` bytes, 8-aligned. */
	uint8_t *bytes;
	uint32_t bytes_length;
	/* Each has room for `capacity` packets. */
	double *stamps;
	int32_t *offsets;
	int32_t *lengths;
	int32_t *full_lengths;
	uint32_t capacity;
};

struct counts {
	uint64_t packets;
	uint64_t batches;
	uint64_t depth;
	uint64_t kernel_dropped;
	uint64_t user_dropped;
	uint64_t errors;
	uint64_t overruns;
	/* The kernel's own table could not be read: what it alone knows is missing. */
	bool partial;
};

struct capture;

struct capture_kind {
	/*
	 * Reads what waits, up to one batch. The number of packets in the index; 0: nothing more waits; below 0:
	 * -errno, the socket is dead. Sets `more` where the batch was full, so that more may wait.
	 */
	int (*fill)(struct capture *capture);
	/*
	 * What is due by the clock. Milliseconds until it wants to be called again, 0: never. `now` is monotonic,
	 * in nanoseconds.
	 */
	uint32_t (*tick)(struct capture *capture, uint64_t now);
	/* Adds what the kernel counts to what the capture counts itself. */
	void (*count)(const struct capture *capture, struct counts *counts);
};

struct capture {
	const struct capture_kind *kind;
	struct netfilter_socket socket;
	struct batch batch;
	struct counts counts;
	/* Queue or group number. */
	uint16_t number;
	/* Packets in the index. */
	uint32_t count;
	bool more;
	/* Bytes of the batch's memory that hold datagrams, where they are read one behind the other. */
	uint32_t used;
	/* Each wake is read at once: somebody waits for what comes. Else wakes that come close gather. */
	bool eager;
	/* What the last batch stands for, in packets, where one datagram is many messages; 0: as many as were in it. */
	uint32_t weight;
	/* Messages that the kernel threw away, or that could not be taken, and JavaScript has not been told of. */
	uint64_t lost;
};

/* A datagram that was read behind the others. */
struct datagram {
	/* Where it begins in the batch's memory. */
	uint32_t at;
	/* Bytes of it that are there; 0: it came from a process, and is none of ours. */
	uint32_t length;
	/* It was larger than DATAGRAM_BYTES_MAX, and cut off. */
	bool truncated;
};

/* How large a batch must be. */
struct batch_size {
	uint32_t bytes;
	uint32_t capacity;
};

/* Adds a packet to the index, which has room. */
void capture_add(struct capture *capture, const struct nfnl_packet *packet);
/* One more datagram of the largest size fits behind the others, and its first packet into the index. */
bool capture_has_room(const struct capture *capture);
/* Reads one datagram behind the others. 1: there was one, 0: none, below 0: -errno, the socket is dead. */
int capture_receive(struct capture *capture, struct datagram *datagram);
/* What a failed receive means: true: go on reading, false: stop; `error` is then 0 or the errno of a dead socket. */
bool capture_receive_failed(struct capture *capture, int *error);
/* A message came from a process, not from the kernel. */
bool capture_is_foreign(const void *name, uint32_t length);

#endif
