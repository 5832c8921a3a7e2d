/* What was fetched before is handed out by its source alone, and as what it was. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "spool/part/fetched.h"
#include "spool_fixture.h"
#include "unit.h"

#define MD5_A "0123456789abcdef0123456789abcdef"
#define MD5_B "fedcba9876543210fedcba9876543210"

static const struct part_terms no_terms;

static struct mail_part
store(struct part_pins *pins, char c)
{
	char bytes[20000];
	struct mail_part part = { .size = 0 };
	struct err err = ERR_INIT;

	memset(bytes, c, sizeof bytes);
	if (part_store_bytes(pins, bytes, sizeof bytes, &no_terms, &part, &err) < 0)
		unit_fail(__FILE__, __LINE__, "%s", err.msg);
	return part;
}

static void
keep(struct part_pins *pins, const char *source, const struct mail_part *part, const char *md5,
    const char *etag)
{
	struct fetched fetched = { .part = *part, .etag = (char *)(uintptr_t)etag };

	snprintf(fetched.md5, sizeof fetched.md5, "%s", md5);
	fetched_keep(pins, source, &fetched);
}

/* The hash that is found, "" where there is none. */
static const char *
found(struct spool *spool, const char *source, const char *md5)
{
	static char hash[MAIL_PART_HASH_SIZE];
	AUTO(part_pins_free) struct part_pins *pins = part_pins_new(spool);
	struct fetched one AUTO(fetched_release) = { .etag = NULL };

	hash[0] = '\0';
	if (fetched_find(pins, source, md5, &one))
		memcpy(hash, one.part.hash, sizeof hash);
	return hash;
}

TEST(content_is_found_by_its_source_and_md5)
{
	struct spool spool = fresh_spool();
	struct part_pins *pins = part_pins_new(&spool);
	struct mail_part a = store(pins, 'a'), b = store(pins, 'b');

	keep(pins, "https://x.example/a", &a, MD5_A, "\"v1\"");
	keep(pins, "https://x.example/b", &b, MD5_B, NULL);
	part_pins_free(&pins);
	const struct {
		const char *source, *md5, *want;
	} rows[] = {
		{ "https://x.example/a", NULL, a.hash },
		{ "https://x.example/a", MD5_A, a.hash },
		{ "https://x.example/b", MD5_B, b.hash },
		{ "https://x.example/b", NULL, b.hash },
		/* That of another source, and that of none. */
		{ "https://x.example/a", MD5_B, "" },
		{ "https://x.example/b", MD5_A, "" },
		{ "https://x.example/c", MD5_A, "" },
		{ "https://x.example/c", NULL, "" },
		{ "", MD5_A, "" },
		{ MD5_A, MD5_A, "" },
		{ "https://x.example/a", "", "" },
		{ "https://x.example/A", MD5_A, "" },
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		CHECK_ROW(rows[i].source,
		    strcmp(found(&spool, rows[i].source, rows[i].md5), rows[i].want) == 0);
	spool_close(&spool);
}

TEST(the_newest_content_of_a_source_counts)
{
	struct spool spool = fresh_spool();
	struct part_pins *pins = part_pins_new(&spool);
	struct mail_part a = store(pins, 'a'), b = store(pins, 'b');

	keep(pins, "https://x.example/", &a, MD5_A, NULL);
	keep(pins, "https://x.example/", &b, MD5_B, NULL);
	part_pins_free(&pins);
	CHECK_STR(found(&spool, "https://x.example/", MD5_A), "");
	CHECK_STR(found(&spool, "https://x.example/", MD5_B), b.hash);
	spool_close(&spool);
}

/* An older version named entries by MD5 alone. */
TEST(entries_by_md5_alone_are_removed)
{
	struct spool spool = fresh_spool();
	struct part_pins *pins = part_pins_new(&spool);
	struct mail_part a = store(pins, 'a');
	AUTO_FD int dir = -1;
	AUTO_FD int old = -1;
	const struct timespec long_ago[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
	struct stat st;

	keep(pins, "https://x.example/", &a, MD5_A, NULL);
	part_pins_free(&pins);
	dir = fs_open_dir(spool.root, "fetched");
	old = openat(dir, MD5_A ".md5", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	CHECK(old >= 0);
	futimens(old, long_ago);
	CHECK_INT(fetched_tidy(&spool, 1 << 20, INT64_MAX / 4), 0);
	CHECK(fstatat(dir, MD5_A ".md5", &st, 0) < 0);
	CHECK_STR(found(&spool, "https://x.example/", MD5_A), a.hash);
	spool_close(&spool);
}

UNIT_MAIN()
