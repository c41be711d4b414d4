/* Tables of numbers in /proc/net, one line an object. Knows nothing of Node. */
#ifndef NFPROC_H
#define NFPROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of the thread's own network namespace, wherever its process began. */
#define PROC_QUEUES "/proc/thread-self/net/netfilter/nfnetlink_queue"
#define PROC_LOGS "/proc/thread-self/net/netfilter/nfnetlink_log"
#define PROC_SOCKETS "/proc/thread-self/net/netlink"

/* More columns than any of these files has. */
#define PROC_FIELDS 12

struct proc_line {
	uint64_t fields[PROC_FIELDS];
	int count;
};

enum proc_result {
	PROC_FOUND,
	PROC_ABSENT,
	/* The file is not there, or not for this user: the queue's and group's files are root's alone. */
	PROC_UNREADABLE,
};

bool proc_exists(const char *path);
/* Finds the line whose column `column` (from 0) is `value`. */
enum proc_result proc_find(const char *path, int column, uint64_t value, struct proc_line *line);
/* As proc_find, where a second column must agree too. */
enum proc_result proc_find_two(const char *path, int column, uint64_t value, int column2, uint64_t value2,
			       struct proc_line *line);
/* Reads one line of numbers, decimal; columns that are none (pointers, masks in hexadecimal) read as 0. */
void proc_parse(const char *text, struct proc_line *line);

#endif
