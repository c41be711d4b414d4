/*
 * NFLOG (linux/netfilter/nfnetlink_log.h): the kernel copies packets into datagrams of many and waits for
 * nobody; the rule after NFLOG drops them. How many packets it gathers before it sends (QTHRESH) follows the
 * load: one when idle, so that a lone knock comes at once, many under a flood, so that each costs little.
 */
#ifndef NFLOG_H
#define NFLOG_H

#include "capture.h"

/* Packets handed to JavaScript with one call. */
#define NFLOG_PACKETS 4096
/* Datagrams are read one behind the other into a buffer of so many bytes, while one of the largest size still fits. */
#define NFLOG_BUFFER_BYTES (1024u * 1024u)

struct nflog_options {
	uint16_t group;
	uint32_t copy_range;
	uint32_t receive_buffer;
};

struct nflog {
	struct capture capture;
	/* The datagram being taken apart. */
	struct nfnl_cursor cursor;
	/* The sequence number that the next packet should have. */
	uint32_t next_sequence;
	/* Which of the thresholds is set. */
	uint32_t level;
	/* Packets since `window_start` (monotonic, ns). */
	uint64_t window_start;
	uint64_t window_packets;
	/* The request for `level` could not be sent yet. */
	bool level_due;
};

struct batch_size nflog_batch_size(void);
/* Binds the group. `batch` is as large as nflog_batch_size says. False: `failure` says why, nothing is open. */
bool nflog_open(struct nflog *log, const struct nflog_options *options, const struct batch *batch,
		struct failure *failure);

/* For tests: a log without a socket; begins a datagram of `length` bytes at `at`; reads on in it while there is room. */
void nflog_prepare(struct nflog *log, const struct nflog_options *options, const struct batch *batch);
void nflog_begin(struct nflog *log, uint32_t at, uint32_t length);
int nflog_take(struct nflog *log);
/* For tests: the level for so many packets a second. */
uint32_t nflog_level(uint32_t level, double packets_per_second);

#endif
