#include "proc.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A line of /proc/net/netlink, the longest of these, has about 100 bytes. */
#define LINE_BYTES_MAX 256

bool proc_exists(const char *path)
{
	return access(path, F_OK) == 0;
}

/* A column's value; 0 unless it is a decimal number that fits. */
static uint64_t number(const char *at, const char *end)
{
	uint64_t value = 0;
	for (; at < end; at++) {
		if (!isdigit((unsigned char)*at) || value > (UINT64_MAX - 9) / 10)
			return 0;
		value = value * 10 + (uint64_t)(*at - '0');
	}
	return value;
}

void proc_parse(const char *text, struct proc_line *line)
{
	memset(line, 0, sizeof *line);
	while (line->count < PROC_FIELDS) {
		text += strspn(text, " \t\n");
		size_t length = strcspn(text, " \t\n");
		if (length == 0)
			return;
		line->fields[line->count++] = number(text, text + length);
		text += length;
	}
}

enum proc_result proc_find(const char *path, int column, uint64_t value, struct proc_line *line)
{
	return proc_find_two(path, column, value, column, value, line);
}

enum proc_result proc_find_two(const char *path, int column, uint64_t value, int column2, uint64_t value2,
			       struct proc_line *line)
{
	char text[LINE_BYTES_MAX];
	enum proc_result result = PROC_ABSENT;
	FILE *file = fopen(path, "re");
	if (file == NULL)
		return PROC_UNREADABLE;
	while (result == PROC_ABSENT && fgets(text, sizeof text, file) != NULL) {
		proc_parse(text, line);
		if (line->count > column && line->count > column2 && line->fields[column] == value &&
		    line->fields[column2] == value2)
			result = PROC_FOUND;
	}
	(void)fclose(file);
	return result;
}
