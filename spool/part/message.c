/* Opening one message, by the name under which it stands. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "spool/part/message.h"
#include "spool/part/private.h"

/* Most records come whole with the first read. */
#define FIRST_READ 4096
#define VERIFY_STEP ((size_t)64 * 1024)

/* As many of n bytes as the file has.  A read that is short for another reason is gone on with: what the
 * disk does not give must not look like the end of the file.  -1 with errno. */
static ssize_t
read_some(int fd, void *bytes, size_t n, off_t offset)
{
	size_t done = 0;

	while (done < n) {
		ssize_t got = pread(fd, (char *)bytes + done, n - done, offset + (off_t)done);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (got == 0)
			break;
		done += (size_t)got;
	}
	return (ssize_t)done;
}

/* The disk does not give it.  What is in it is not known, and it is not damaged for that. */
static int
cannot_read(struct err *err)
{
	return err_io(err, "it cannot be read");
}

static int
check_record(const struct record *record, const struct message_name *name, off_t file_size,
    struct err *err)
{
	char encoded[ID_TEXT_MAX + 1];
	uint64_t left = (uint64_t)file_size - name->offset;

	if (record->text.length > left || record->size > left - record->text.length)
		return err_set(err, EX_DATAERR,
		    "it is cut off: the record says %zu + %llu bytes, %llu are there", record->size,
		    (unsigned long long)record->text.length, (unsigned long long)left);
	if (name_encode(record->id, ID_TEXT_MAX, encoded) < 0 || strcmp(encoded, name->id) != 0)
		return err_set(err, EX_DATAERR, "its record is of another message, \"%s\"",
		    record->id);
	return 0;
}

static int
read_record(int fd, const struct message_name *name, off_t file_size, struct record *ret,
    struct err *err)
{
	char first[FIRST_READ];
	AUTO_FREE char *whole = NULL;
	const char *bytes = first;
	struct text_facts facts;
	ssize_t got;
	size_t size;

	if (name->offset >= (uint64_t)file_size)
		return err_set(err, EX_DATAERR, "it is cut off: nothing is left at byte %llu",
		    (unsigned long long)name->offset);
	got = read_some(fd, first, sizeof first, (off_t)name->offset);
	if (got < 0)
		return cannot_read(err);
	if (got < RECORD_FIRST_LINE || (size = record_size(first, &facts)) == 0)
		return err_set(err, EX_DATAERR,
		    "no complete record at byte %llu: expected a line \"mailq 1 ...\"",
		    (unsigned long long)name->offset);
	if (size > (size_t)got) {
		whole = xmalloc(size);
		if (fs_pread(fd, whole, size, (off_t)name->offset) < 0)
			return errno == ENODATA ?
			    err_set(err, EX_DATAERR, "it is cut off in its record") :
			    cannot_read(err);
		bytes = whole;
	}
	return record_unpack(bytes, size, ret, err);
}

int
message_open(int dir, const char *text, const struct message_name *name, int *ret_fd,
    struct record *ret, struct err *err)
{
	AUTO_FD int fd = fs_open(dir, text, O_RDONLY, 0);
	struct record record = { 0 };
	struct stat st;

	if (fd < 0 && errno == ENOENT)
		return err_set(err, EX_NOINPUT, "%s: it is not there any more", text);
	if (fd < 0 && errno == FS_NOT_A_FILE)
		return err_sys(err, EX_DATAERR, "%s", text);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_io(err, "%s", text);
	if (read_record(fd, name, st.st_size, &record, err) < 0)
		return err_prefix(err, "%s", text);
	if (check_record(&record, name, st.st_size, err) < 0) {
		record_release(&record);
		return err_prefix(err, "%s", text);
	}
	if (record.piece_count > 0 && part_read_token(fd, st.st_size, record.token) < 0) {
		int saved = errno;

		record_release(&record);
		errno = saved;
		if (errno != EBADMSG && errno != ENODATA)
			return err_io(err, "%s: it cannot be read", text);
		return err_set(err, EX_DATAERR,
		    "%s: it has parts, and the last line of its file does not say whose: expected "
		    "\"" PART_TRAILER "TOKEN\"",
		    text);
	}
	*ret = record;
	if (ret_fd != NULL)
		*ret_fd = take_fd(&fd);
	return 0;
}

int
message_verify(int fd, const struct message_name *name, const struct record *record,
    struct err *err)
{
	AUTO(checksum_end) struct checksum *sum = checksum_begin();
	AUTO_FREE char *block = xmalloc(VERIFY_STEP);
	off_t offset = (off_t)name->offset + RECORD_FIRST_LINE;
	uint64_t left = record->size - RECORD_FIRST_LINE + record->text.length;

	while (left > 0) {
		ssize_t got = read_some(fd, block, left < VERIFY_STEP ? left : VERIFY_STEP, offset);

		if (got < 0)
			return cannot_read(err);
		if (got == 0)
			return err_set(err, EX_DATAERR, "it is cut off: %llu bytes are missing",
			    (unsigned long long)left);
		checksum_add(sum, block, (size_t)got);
		offset += got;
		left -= (uint64_t)got;
	}
	if (checksum_value(sum) != record->text.checksum)
		return err_set(err, EX_DATAERR, "its checksum is %016llx, its record says %016llx",
		    (unsigned long long)checksum_value(sum),
		    (unsigned long long)record->text.checksum);
	return 0;
}
