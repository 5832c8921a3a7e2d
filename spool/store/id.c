#include "spool/store/id.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

int
id_lookup(struct spool *spool, const char *id, char token[TOKEN_SIZE])
{
	int dir = spool_id_dir(spool, id);
	ssize_t n;

	if (dir < 0)
		return -1;
	n = readlinkat(dir, id, token, TOKEN_SIZE - 1);
	if (n < 0)
		return errno == ENOENT ? 0 : -1;
	token[n] = '\0';
	return 1;
}

int
id_give_up(struct spool *spool, const char *id, const char *token)
{
	char holder[TOKEN_SIZE];
	int known = id_lookup(spool, id, holder);

	if (known <= 0)
		return known;
	return strcmp(holder, token) == 0 ? id_forget(spool, id) : 0;
}

int
id_forget(struct spool *spool, const char *id)
{
	int dir = spool_id_dir(spool, id);

	if (dir < 0)
		return -1;
	return unlinkat(dir, id, 0) < 0 && errno != ENOENT ? -1 : 0;
}
