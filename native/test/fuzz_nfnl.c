/*
 * Feeds the parsers anything. With clang: -fsanitize=fuzzer,address,undefined. Without libFuzzer, compile with
 * -DSTANDALONE: `fuzz_nfnl COUNT [SEED]` then mutates sound datagrams COUNT times, the same way for the same seed.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../src/nflog.h"
#include "../src/nfqueue.h"
#include "../src/proc.h"
#include "message.h"

#define INPUT_MAX 4096

static void require(int condition)
{
	if (!condition)
		abort();
}

/* In memory of exactly the input's size, so that AddressSanitizer sees the first byte read beyond it. */
static void walk(const uint8_t *data, size_t size)
{
	uint8_t *exact = malloc(size);
	struct nfnl_cursor cursor = { .bytes = exact, .length = (uint32_t)size };
	struct nfnl_message message;
	struct nfnl_packet packet;
	uint32_t before = 0;
	require(exact != NULL || size == 0);
	if (size > 0)
		memcpy(exact, data, size);
	while (nfnl_next(&cursor, &message) != NFNL_END) {
		require(cursor.at > before && cursor.at <= cursor.length);
		before = cursor.at;
		for (int log = 0; log < 2; log++) {
			bool sound = log ? nfnl_parse_logged(&message, &packet) : nfnl_parse_queued(&message, &packet);
			if (!sound)
				continue;
			require(packet.payload >= exact && packet.payload + packet.payload_length <= exact + size);
			require(packet.payload_length > 0 && packet.full_length >= packet.payload_length);
		}
	}
	free(exact);
}

struct memory {
	uint8_t *bytes;
	struct batch batch;
};

static struct memory allocate(struct batch_size size, uint32_t capacity)
{
	struct memory memory = { .bytes = calloc(1, size.bytes + capacity * 20u) };
	require(memory.bytes != NULL);
	memory.batch = (struct batch){ .bytes = memory.bytes, .bytes_length = size.bytes, .capacity = capacity };
	memory.batch.stamps = (double *)(void *)(memory.bytes + size.bytes);
	memory.batch.offsets = (int32_t *)(void *)(memory.batch.stamps + capacity);
	memory.batch.lengths = memory.batch.offsets + capacity;
	memory.batch.full_lengths = memory.batch.lengths + capacity;
	return memory;
}

static void check_index(const struct capture *capture, uint32_t used)
{
	require(capture->count <= capture->batch.capacity);
	for (uint32_t i = 0; i < capture->count; i++) {
		int32_t offset = capture->batch.offsets[i];
		int32_t length = capture->batch.lengths[i];
		require(offset >= 0 && length > 0 && (uint32_t)offset + (uint32_t)length <= used);
		require(capture->batch.full_lengths[i] >= length);
	}
}

static void take_queued(const uint8_t *data, size_t size)
{
	static struct nfqueue queue;
	static struct memory memory;
	struct nfqueue_options options = { .queue = 1, .copy_range = 256 };
	if (memory.bytes == NULL)
		memory = allocate(nfqueue_batch_size(&options), 4);
	nfqueue_prepare(&queue, &options, &memory.batch);
	uint32_t length = size < queue.slot_bytes ? (uint32_t)size : queue.slot_bytes;
	memcpy(queue.slots[0].iov_base, data, length);
	queue.names[0] = (struct sockaddr_nl){ .nl_family = AF_NETLINK };
	queue.headers[0].msg_hdr.msg_namelen = sizeof(struct sockaddr_nl);
	queue.headers[0].msg_hdr.msg_flags = size > queue.slot_bytes ? MSG_TRUNC : 0;
	queue.headers[0].msg_len = (uint32_t)size;
	(void)nfqueue_take(&queue, 1);
	check_index(&queue.capture, queue.slot_bytes);
	require(queue.capture.count == 0 || queue.verdict_due);
}

static void take_logged(const uint8_t *data, size_t size)
{
	static struct nflog log;
	static struct memory memory;
	struct nflog_options options = { .group = 1, .copy_range = 256 };
	if (memory.bytes == NULL)
		memory = allocate((struct batch_size){ .bytes = INPUT_MAX }, 4);
	nflog_prepare(&log, &options, &memory.batch);
	memcpy(memory.bytes, data, size);
	nflog_begin(&log, 0, (uint32_t)size);
	for (int calls = 0; calls < 2000 && log.cursor.at < log.cursor.length; calls++) {
		uint32_t before = log.cursor.at;
		log.capture.count = 0;
		if (nflog_take(&log) != 0)
			return;
		require(log.cursor.at > before);
		check_index(&log.capture, (uint32_t)size);
	}
	require(log.cursor.at == log.cursor.length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[INPUT_MAX + 1];
	struct proc_line line;
	if (size > INPUT_MAX)
		return 0;
	walk(data, size);
	take_queued(data, size);
	take_logged(data, size);
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	proc_parse(text, &line);
	require(line.count <= PROC_FIELDS);
	return 0;
}

#ifdef STANDALONE
static uint64_t state;

static uint32_t choose(uint32_t below)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (uint32_t)((state * 0x2545f4914f6cdd1du) >> 32) % below;
}

static void make_sound(struct message *m)
{
	uint32_t count = 1 + choose(4);
	m->length = 0;
	for (uint32_t i = 0; i < count; i++) {
		if (choose(2) == 0)
			queued(m, choose(UINT32_MAX), 1 + choose(120));
		else
			logged(m, choose(1000), 1 + choose(120), (uint16_t)choose(65536));
	}
	if (choose(4) == 0)
		begin(m, choose(2) == 0 ? NLMSG_DONE : NLMSG_ERROR);
}

/* Numbers that lengths go wrong at. */
static uint8_t odd_byte(void)
{
	static const uint8_t odd[] = { 0, 1, 2, 3, 4, 5, 15, 16, 19, 20, 21, 0x7f, 0x80, 0xfe, 0xff };
	return choose(2) == 0 ? odd[choose(sizeof odd)] : (uint8_t)choose(256);
}

static void mutate(struct message *m)
{
	for (uint32_t changes = choose(5); changes > 0 && m->length > 0; changes--)
		m->bytes[choose(m->length)] = odd_byte();
	if (choose(4) == 0)
		m->length = choose(m->length + 1);
	else if (choose(8) == 0)
		m->length += choose(64);
}

int main(int argc, char **argv)
{
	static struct message m;
	unsigned long count = argc > 1 ? strtoul(argv[1], NULL, 10) : 100000;
	state = (argc > 2 ? strtoul(argv[2], NULL, 10) : 1) * 2654435761u + 1;
	for (unsigned long i = 0; i < count; i++) {
		make_sound(&m);
		mutate(&m);
		(void)LLVMFuzzerTestOneInput(m.bytes, m.length);
	}
	printf("fuzz_nfnl: %lu datagrams, none broke anything\n", count);
	return 0;
}
#endif
