/*
 * Netfilter's netlink messages: built and parsed. Knows nothing of Node, sockets or files, so that plain C can
 * test and fuzz it.
 *
 * A datagram holds messages, a message holds attributes, each with its own length (linux/netlink.h,
 * linux/netfilter/nfnetlink.h):
 *
 *   nlmsghdr { len type flags seq pid } nfgenmsg { family version resource } attribute*      (padded to 4)
 *   attribute = nlattr { len type } value                                                    (padded to 4)
 *
 * Every length is checked against what remains; the last message and the last attribute may lack their padding.
 */
#ifndef NFNL_H
#define NFNL_H

#include <stdbool.h>
#include <stdint.h>

/* Room for the largest request that we build (about 60 bytes). */
#define NFNL_REQUEST_BYTES 128

struct nfnl_request {
	_Alignas(8) uint8_t bytes[NFNL_REQUEST_BYTES];
	uint32_t length;
};

/* Begins a request to one netfilter subsystem (NFNL_SUBSYS_…); `resource` is the queue or group number. */
void nfnl_begin(struct nfnl_request *request, uint8_t subsystem, uint8_t message, uint16_t flags,
		uint32_t sequence, uint16_t resource);
/* Adds an attribute. A request that would not fit is a fault of ours and aborts. */
void nfnl_put(struct nfnl_request *request, uint16_t type, const void *value, uint16_t length);
/* Adds an attribute that holds one number in network order. */
void nfnl_put_be32(struct nfnl_request *request, uint16_t type, uint32_t value);
void nfnl_put_be16(struct nfnl_request *request, uint16_t type, uint16_t value);

/* Walks the messages of one datagram. */
struct nfnl_cursor {
	const uint8_t *bytes;
	uint32_t length;
	uint32_t at;
};

struct nfnl_message {
	/* (subsystem << 8) | message, or one of NLMSG_ERROR, NLMSG_DONE … */
	uint16_t type;
	uint32_t sequence;
	/* NLMSG_ERROR: the errno, positive; 0 is an acknowledgement. */
	int error;
	/* The attributes. */
	const uint8_t *attributes;
	uint32_t attributes_length;
};

enum nfnl_step {
	/* No message is left. */
	NFNL_END,
	/* `message` is whole. */
	NFNL_WHOLE,
	/* `message` claims more than is there: its attributes end where the datagram ends. Nothing follows. */
	NFNL_CUT,
	/* Not even a header, or a length that lies. Nothing follows. */
	NFNL_BROKEN,
};

enum nfnl_step nfnl_next(struct nfnl_cursor *cursor, struct nfnl_message *message);

/* What a message from NFQUEUE or NFLOG says of its packet. */
struct nfnl_packet {
	bool has_id;
	bool has_sequence;
	/* NFQUEUE: the packet's number in its queue. */
	uint32_t id;
	/* NFLOG: the packet's number in its group. */
	uint32_t sequence;
	/* The packet itself; NULL where there is none. */
	const uint8_t *payload;
	uint32_t payload_length;
	/* Bytes that it has in truth, at least payload_length. */
	uint32_t full_length;
	/* Milliseconds since 1970; 0: not stamped. */
	double stamp;
};

/*
 * Read one packet. False where an attribute lies about its length, is there twice, is of the wrong size, or the
 * payload is missing; what was read before that stays in `packet`, since a broken message still needs a verdict.
 */
bool nfnl_parse_queued(const struct nfnl_message *message, struct nfnl_packet *packet);
bool nfnl_parse_logged(const struct nfnl_message *message, struct nfnl_packet *packet);

#endif
