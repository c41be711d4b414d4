/* Reads a capture on libuv's loop: when to read, and how much before others get their turn. Knows nothing of Node. */
#ifndef READER_H
#define READER_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "capture.h"

struct reader;

struct reader_calls {
	/* Before each read: may the batch's memory be written? False: the reader has been closed. */
	bool (*ready)(struct reader *reader);
	/* A batch is in the index, or something was lost. May close the reader. */
	void (*deliver)(struct reader *reader, uint32_t count);
	/* The socket is dead; the reader has been closed. */
	void (*dead)(struct reader *reader, int error);
	/* libuv has let go of everything: the memory may go. */
	void (*released)(struct reader *reader);
};

struct reader {
	uv_poll_t poll;
	uv_timer_t timer;
	const struct reader_calls *calls;
	struct capture *capture;
	/* When the last read ended; monotonic, ns. */
	uint64_t last_read;
	/* The last wake left packets waiting: no use in waiting for more. */
	bool busy;
	/* Wakes, one after the other, that each came soon after the last read. */
	uint32_t close_wakes;
	/* Waiting for packets to gather; the socket is not polled meanwhile. */
	bool coalescing;
	bool closed;
	/* libuv handles that are not closed yet. */
	int handles;
};

/* 0, or a libuv error; then nothing is left behind in the loop but what `released` reports. */
int reader_open(struct reader *reader, uv_loop_t *loop, struct capture *capture, const struct reader_calls *calls);
/* Whether the loop goes on for this reader alone. */
void reader_hold(struct reader *reader, bool alive);
/* Idempotent, allowed in every callback. The socket is closed when it returns; no `deliver` comes after it. */
void reader_close(struct reader *reader);

#endif
