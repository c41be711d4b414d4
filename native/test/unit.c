/* What the parsers and the two readers promise, without a kernel: test/sanitize.sh compiles and runs it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../src/nflog.h"
#include "../src/nfqueue.h"
#include "../src/proc.h"
#include "message.h"

static int failures;
static const char *sentence;

#define CHECK(condition)                                                                                  \
	do {                                                                                              \
		if (!(condition)) {                                                                       \
			fprintf(stderr, "unit.c:%d: %s: %s\n", __LINE__, sentence, #condition);           \
			failures++;                                                                       \
		}                                                                                         \
	} while (0)

/* The first message of a datagram, in memory of exactly its size so that a read beyond it is seen. */
static enum nfnl_step first(const struct message *m, uint32_t length, struct nfnl_message *out, uint8_t **memory)
{
	*memory = malloc(length);
	memcpy(*memory, m->bytes, length);
	struct nfnl_cursor cursor = { .bytes = *memory, .length = length };
	return nfnl_next(&cursor, out);
}

static bool parse_queued(const struct message *m, struct nfnl_packet *packet)
{
	struct nfnl_message message;
	uint8_t *memory;
	enum nfnl_step step = first(m, m->length, &message, &memory);
	bool sound = step == NFNL_WHOLE && nfnl_parse_queued(&message, packet);
	free(memory);
	return sound;
}

static void a_queued_packet_is_read(void)
{
	struct message m = { 0 };
	struct nfnl_packet packet;
	queued(&m, 7, 60);
	CHECK(parse_queued(&m, &packet));
	CHECK(packet.id == 7 && packet.payload_length == 60 && packet.full_length == 60);
	CHECK(packet.stamp > 1763706000123.455 && packet.stamp < 1763706000123.457);
}

static void a_cut_packet_tells_its_true_length(void)
{
	struct message m = { 0 };
	struct nfnl_packet packet;
	begin(&m, QUEUED);
	add_id(&m, 1);
	add_be32(&m, NFQA_CAP_LEN, 60000);
	add(&m, NFQA_PAYLOAD, "12345678", 8, 0);
	CHECK(parse_queued(&m, &packet) && packet.full_length == 60000 && packet.payload_length == 8);
}

static void every_payload_length_is_read_aligned_or_not(void)
{
	for (uint32_t length = 1; length < 80; length++) {
		struct message m = { 0 };
		struct nfnl_packet packet;
		queued(&m, length, length);
		CHECK(parse_queued(&m, &packet) && packet.payload_length == length);
	}
}

static void a_message_cut_anywhere_is_never_taken_for_whole(void)
{
	struct message m = { 0 };
	queued(&m, 9, 61);
	for (uint32_t length = 0; length < m.length; length++) {
		struct nfnl_message message;
		struct nfnl_packet packet;
		uint8_t *memory;
		enum nfnl_step step = first(&m, length, &message, &memory);
		CHECK(step != NFNL_WHOLE);
		if (step == NFNL_CUT) {
			(void)nfnl_parse_queued(&message, &packet);
			/* The id stands in the first attribute: 20 bytes of headers, 4 + 7 of its own. */
			CHECK(packet.has_id == (length >= 31));
		}
		free(memory);
	}
}

static void attributes_that_lie_are_refused(void)
{
	static const uint16_t lies[] = { 1, 2, 3, 13, 200, 65535 };
	for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
		struct message m = { 0 };
		struct nfnl_packet packet = { 0 };
		begin(&m, QUEUED);
		add_id(&m, 5);
		add(&m, NFQA_PAYLOAD, "12345678", 8, lies[i]);
		CHECK(!parse_queued(&m, &packet));
		CHECK(packet.has_id && packet.id == 5);
	}
}

static void values_of_the_wrong_size_and_doubles_are_refused(void)
{
	static const uint16_t types[] = { NFQA_PACKET_HDR, NFQA_TIMESTAMP, NFQA_CAP_LEN };
	struct nfnl_packet packet;
	for (size_t i = 0; i < 3; i++) {
		struct message m = { 0 };
		begin(&m, QUEUED);
		if (types[i] != NFQA_PACKET_HDR)
			add_id(&m, 1);
		add(&m, types[i], "123", 3, 0);
		add(&m, NFQA_PAYLOAD, "12345678", 8, 0);
		CHECK(!parse_queued(&m, &packet));
	}
	struct message twice = { 0 };
	queued(&twice, 1, 8);
	add(&twice, NFQA_PAYLOAD, "12345678", 8, 0);
	CHECK(!parse_queued(&twice, &packet));
	struct message ids = { 0 };
	queued(&ids, 1, 8);
	add_id(&ids, 2);
	CHECK(!parse_queued(&ids, &packet) && packet.id == 1);
}

static void a_packet_without_payload_or_longer_than_its_whole_is_refused(void)
{
	struct message m = { 0 };
	struct nfnl_packet packet;
	begin(&m, QUEUED);
	add_id(&m, 3);
	CHECK(!parse_queued(&m, &packet));
	add_be32(&m, NFQA_CAP_LEN, 4);
	add(&m, NFQA_PAYLOAD, "12345678", 8, 0);
	CHECK(!parse_queued(&m, &packet));
}

static void nested_attributes_are_stepped_over_whatever_they_hold(void)
{
	struct message m = { 0 };
	struct nfnl_packet packet;
	uint8_t nested[24];
	memset(nested, 0xff, sizeof nested);
	begin(&m, QUEUED);
	add_id(&m, 4);
	add(&m, NFQA_VLAN | NLA_F_NESTED, nested, sizeof nested, 0);
	add(&m, NFQA_PAYLOAD, "12345678", 8, 0);
	CHECK(parse_queued(&m, &packet) && packet.payload_length == 8);
}

static void a_header_that_lies_ends_the_datagram(void)
{
	static const uint32_t lies[] = { 0, 1, 15, 17, 19 };
	for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
		struct message m = { 0 };
		struct nfnl_message message;
		struct nfnl_cursor cursor = { .bytes = m.bytes };
		queued(&m, 1, 8);
		cursor.length = m.length;
		set_length(&m, lies[i]);
		CHECK(nfnl_next(&cursor, &message) == NFNL_BROKEN);
		CHECK(nfnl_next(&cursor, &message) == NFNL_END);
	}
}

static void an_answer_tells_its_errno(void)
{
	struct { struct nlmsghdr header; int32_t error; } answer = {
		.header = { .nlmsg_len = sizeof answer, .nlmsg_type = NLMSG_ERROR, .nlmsg_seq = 3 }, .error = -EPERM };
	struct nfnl_cursor cursor = { .bytes = (uint8_t *)&answer, .length = sizeof answer };
	struct nfnl_message message;
	CHECK(nfnl_next(&cursor, &message) == NFNL_WHOLE && message.error == EPERM && message.sequence == 3);
	answer.error = INT32_MIN;
	cursor.at = 0;
	CHECK(nfnl_next(&cursor, &message) == NFNL_BROKEN);
	answer.header.nlmsg_len = 19;
	cursor.at = 0;
	CHECK(nfnl_next(&cursor, &message) == NFNL_BROKEN);
}

/* A queue over memory of its own, and the end of a socket that its verdicts come out of. */
struct bench {
	struct nfqueue queue;
	struct batch batch;
	uint8_t *memory;
	int verdicts;
};

static struct batch allocate(struct batch_size size, uint8_t **memory)
{
	*memory = calloc(1, size.bytes + size.capacity * 20);
	struct batch batch = { .bytes = *memory, .bytes_length = size.bytes, .capacity = size.capacity };
	batch.stamps = (double *)(void *)(*memory + size.bytes);
	batch.offsets = (int32_t *)(void *)(batch.stamps + size.capacity);
	batch.lengths = batch.offsets + size.capacity;
	batch.full_lengths = batch.lengths + size.capacity;
	return batch;
}

static struct bench *open_bench(void)
{
	struct bench *bench = calloc(1, sizeof *bench);
	struct nfqueue_options options = { .queue = 3, .copy_range = 256 };
	int pair[2];
	bench->batch = allocate(nfqueue_batch_size(&options), &bench->memory);
	nfqueue_prepare(&bench->queue, &options, &bench->batch);
	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair) != 0)
		abort();
	bench->queue.capture.socket.fd = pair[0];
	bench->verdicts = pair[1];
	return bench;
}

static void close_bench(struct bench *bench)
{
	socket_close(&bench->queue.capture.socket);
	(void)close(bench->verdicts);
	free(bench->memory);
	free(bench);
}

/* Puts a datagram into a slot as recvmmsg would. */
static void arrive(struct bench *bench, uint32_t slot, const struct message *m)
{
	uint32_t room = bench->queue.slot_bytes;
	struct mmsghdr *header = &bench->queue.headers[slot];
	memcpy(bench->queue.slots[slot].iov_base, m->bytes, m->length < room ? m->length : room);
	header->msg_len = m->length < room ? m->length : room;
	header->msg_hdr.msg_flags = m->length > room ? MSG_TRUNC : 0;
	bench->queue.names[slot] = (struct sockaddr_nl){ .nl_family = AF_NETLINK };
	header->msg_hdr.msg_namelen = sizeof(struct sockaddr_nl);
}

/* The id of the next verdict that was sent, which must be a DROP for queue 3; 0: none was. */
static uint32_t sent_verdict(struct bench *bench)
{
	struct {
		struct nlmsghdr header;
		struct nfgenmsg generic;
		struct nlattr attribute;
		struct nfqnl_msg_verdict_hdr verdict;
	} sent;
	if (recv(bench->verdicts, &sent, sizeof sent, MSG_DONTWAIT) != (ssize_t)sizeof sent)
		return 0;
	CHECK(sent.header.nlmsg_len == sizeof sent && sent.header.nlmsg_flags == NLM_F_REQUEST);
	CHECK(sent.header.nlmsg_type == (NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_VERDICT_BATCH));
	CHECK(sent.generic.res_id == htons(3) && sent.attribute.nla_type == NFQA_VERDICT_HDR);
	CHECK(sent.attribute.nla_len == sizeof sent.attribute + sizeof sent.verdict);
	CHECK(sent.verdict.verdict == htonl(NF_DROP));
	return ntohl(sent.verdict.id);
}

static void a_batch_is_settled_up_to_its_last_id(void)
{
	struct bench *bench = open_bench();
	for (uint32_t i = 0; i < NFQUEUE_DATAGRAMS; i++) {
		struct message m = { 0 };
		queued(&m, i + 1, 40);
		arrive(bench, i, &m);
	}
	CHECK(nfqueue_take(&bench->queue, NFQUEUE_DATAGRAMS) == 0);
	CHECK(bench->queue.capture.count == NFQUEUE_DATAGRAMS && bench->queue.capture.counts.errors == 0);
	CHECK(nfqueue_settle(&bench->queue) == 0 && !bench->queue.verdict_due);
	CHECK(sent_verdict(bench) == NFQUEUE_DATAGRAMS);
	CHECK(nfqueue_settle(&bench->queue) == 0 && sent_verdict(bench) == 0);
	close_bench(bench);
}

static void ids_wrap(void)
{
	struct bench *bench = open_bench();
	static const uint32_t ids[] = { UINT32_MAX - 1, UINT32_MAX, 0, 1 };
	bench->queue.last_id = UINT32_MAX - 2;
	for (uint32_t i = 0; i < 4; i++) {
		struct message m = { 0 };
		queued(&m, ids[i], 40);
		arrive(bench, i, &m);
	}
	CHECK(nfqueue_take(&bench->queue, 4) == 0);
	CHECK(bench->queue.verdict_id == 1 && bench->queue.missing == 0);
	close_bench(bench);
}

static void ids_that_no_message_came_for_are_counted(void)
{
	struct bench *bench = open_bench();
	struct message m = { 0 };
	queued(&m, 11, 40);
	arrive(bench, 0, &m);
	CHECK(nfqueue_take(&bench->queue, 1) == 0);
	CHECK(bench->queue.missing == 10);
	close_bench(bench);
}

static void a_truncated_message_is_an_error_and_settled(void)
{
	struct bench *bench = open_bench();
	struct message m = { 0 };
	queued(&m, 1, 1500);
	arrive(bench, 0, &m);
	CHECK(nfqueue_take(&bench->queue, 1) == 0);
	CHECK(bench->queue.capture.count == 0 && bench->queue.capture.counts.errors == 1);
	CHECK(bench->queue.verdict_due && bench->queue.verdict_id == 1);
	close_bench(bench);
}

static void a_last_message_without_an_id_settles_all_that_waits(void)
{
	struct bench *bench = open_bench();
	struct message sound = { 0 };
	struct message broken = { 0 };
	queued(&sound, 41, 40);
	queued(&broken, 42, 40);
	set_length(&broken, 3);
	arrive(bench, 0, &sound);
	arrive(bench, 1, &broken);
	CHECK(nfqueue_take(&bench->queue, 2) == 0);
	CHECK(bench->queue.capture.count == 1 && bench->queue.capture.counts.errors == 1);
	CHECK(bench->queue.verdict_due && (int32_t)(bench->queue.verdict_id - 42) > 65535);
	arrive(bench, 0, &broken);
	queued(&sound, 44, 40);
	sound.length = 0;
	queued(&sound, 44, 40);
	arrive(bench, 1, &sound);
	CHECK(nfqueue_take(&bench->queue, 2) == 0);
	CHECK(bench->queue.verdict_id == 44);
	close_bench(bench);
}

static void a_verdict_that_the_kernel_has_no_room_for_is_sent_later(void)
{
	struct bench *bench = open_bench();
	struct message m = { 0 };
	uint8_t filler[4] = { 0 };
	int fillers = 0;
	queued(&m, 8, 40);
	arrive(bench, 0, &m);
	CHECK(nfqueue_take(&bench->queue, 1) == 0);
	while (send(bench->queue.capture.socket.fd, filler, sizeof filler, MSG_DONTWAIT) > 0)
		fillers++;
	CHECK(nfqueue_settle(&bench->queue) == 0 && bench->queue.verdict_due);
	CHECK(nfqueue_take(&bench->queue, 0) == 0 && bench->queue.verdict_due);
	CHECK(bench->queue.capture.kind->tick(&bench->queue.capture, 0) > 0);
	while (fillers-- > 0)
		(void)recv(bench->verdicts, filler, sizeof filler, MSG_DONTWAIT);
	CHECK(bench->queue.capture.kind->tick(&bench->queue.capture, 0) == 0 && !bench->queue.verdict_due);
	CHECK(sent_verdict(bench) == 8);
	close_bench(bench);
}

static void what_a_process_sends_is_counted_and_left(void)
{
	struct bench *bench = open_bench();
	struct message m = { 0 };
	queued(&m, 1, 40);
	arrive(bench, 0, &m);
	bench->queue.names[0].nl_pid = 4711;
	CHECK(nfqueue_take(&bench->queue, 1) == 0);
	CHECK(bench->queue.capture.count == 0 && bench->queue.capture.counts.errors == 1 && !bench->queue.verdict_due);
	close_bench(bench);
}

static void more_packets_than_the_index_holds_are_errors_and_settled(void)
{
	struct bench *bench = open_bench();
	struct message m = { 0 };
	for (uint32_t i = 0; i < 10; i++)
		queued(&m, i + 1, 4);
	bench->queue.capture.batch.capacity = 3;
	arrive(bench, 0, &m);
	CHECK(nfqueue_take(&bench->queue, 1) == 0);
	CHECK(bench->queue.capture.count == 3 && bench->queue.capture.counts.errors == 7);
	CHECK(bench->queue.verdict_id == 10);
	close_bench(bench);
}

static void a_datagram_of_many_logged_packets_is_split_where_the_index_ends(void)
{
	struct nflog log;
	uint8_t *memory;
	struct nflog_options options = { .group = 5, .copy_range = 256 };
	struct batch batch = allocate(nflog_batch_size(), &memory);
	struct message m = { 0 };
	for (uint32_t i = 0; i < 40; i++)
		logged(&m, i < 30 ? i : i + 5, 28, 28);
	begin(&m, NLMSG_DONE);
	memcpy(batch.bytes, m.bytes, m.length);
	batch.capacity = 16;
	nflog_prepare(&log, &options, &batch);
	nflog_begin(&log, 0, m.length);
	uint32_t seen = 0;
	for (int calls = 0; calls < 3; calls++) {
		log.capture.count = 0;
		CHECK(nflog_take(&log) == 0);
		CHECK(log.capture.count == (calls < 2 ? 16u : 8u));
		seen += log.capture.count;
	}
	CHECK(seen == 40 && log.capture.counts.kernel_dropped == 5 && log.capture.counts.errors == 0);
	free(memory);
}

static void a_logged_packet_tells_its_true_length_by_its_header(void)
{
	struct message m = { 0 };
	struct nfnl_message message;
	struct nfnl_packet packet;
	uint8_t *memory;
	logged(&m, 0, 64, 1500);
	CHECK(first(&m, m.length, &message, &memory) == NFNL_WHOLE && nfnl_parse_logged(&message, &packet));
	CHECK(packet.payload_length == 64 && packet.full_length == 1500 && packet.sequence == 0);
	free(memory);
}

static void the_threshold_follows_the_load_without_flutter(void)
{
	CHECK(nflog_level(0, 0) == 0 && nflog_level(0, 19999) == 0);
	CHECK(nflog_level(0, 20000) == 1 && nflog_level(0, 1e6) == 2 && nflog_level(1, 150000) == 2);
	CHECK(nflog_level(1, 6000) == 1 && nflog_level(1, 4000) == 0);
	CHECK(nflog_level(2, 50000) == 2 && nflog_level(2, 30000) == 1 && nflog_level(2, 10) == 0);
}

static void a_line_of_proc_is_read(void)
{
	struct proc_line line;
	proc_parse("    7  21681    12 2   256     3     4       99  1\n", &line);
	CHECK(line.count == 9 && line.fields[0] == 7 && line.fields[1] == 21681 && line.fields[6] == 4);
	proc_parse("00000000fc4ed2bb 12  4294963200 00000000 0 99999999999999999999999 -3", &line);
	CHECK(line.count == 7 && line.fields[0] == 0 && line.fields[2] == 4294963200u && line.fields[5] == 0 &&
	      line.fields[6] == 0);
	proc_parse("1 2 3 4 5 6 7 8 9 10 11 12 13 14", &line);
	CHECK(line.count == PROC_FIELDS);
	CHECK(proc_find("/nowhere", 0, 1, &line) == PROC_UNREADABLE);
}

#define RUN(test) (sentence = #test, test())

int main(void)
{
	RUN(a_queued_packet_is_read);
	RUN(a_cut_packet_tells_its_true_length);
	RUN(every_payload_length_is_read_aligned_or_not);
	RUN(a_message_cut_anywhere_is_never_taken_for_whole);
	RUN(attributes_that_lie_are_refused);
	RUN(values_of_the_wrong_size_and_doubles_are_refused);
	RUN(a_packet_without_payload_or_longer_than_its_whole_is_refused);
	RUN(nested_attributes_are_stepped_over_whatever_they_hold);
	RUN(a_header_that_lies_ends_the_datagram);
	RUN(an_answer_tells_its_errno);
	RUN(a_batch_is_settled_up_to_its_last_id);
	RUN(ids_wrap);
	RUN(ids_that_no_message_came_for_are_counted);
	RUN(a_truncated_message_is_an_error_and_settled);
	RUN(a_last_message_without_an_id_settles_all_that_waits);
	RUN(a_verdict_that_the_kernel_has_no_room_for_is_sent_later);
	RUN(what_a_process_sends_is_counted_and_left);
	RUN(more_packets_than_the_index_holds_are_errors_and_settled);
	RUN(a_datagram_of_many_logged_packets_is_split_where_the_index_ends);
	RUN(a_logged_packet_tells_its_true_length_by_its_header);
	RUN(the_threshold_follows_the_load_without_flutter);
	RUN(a_line_of_proc_is_read);
	printf(failures == 0 ? "unit.c: all is as told\n" : "unit.c: %d checks failed\n", failures);
	return failures == 0 ? 0 : 1;
}
