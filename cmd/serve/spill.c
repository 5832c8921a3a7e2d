#include "cmd/serve/spill.h"

void
spill_init(struct spill *s, struct serve *serve)
{
	const struct serve_config *config = serve_config_peek(serve);

	spill_begin(s, &serve->spool, config->settings.queue.min_free_bytes,
	    config->settings.queue.min_free_inodes);
	serve_config_put(serve, config);
}

void
spill_reply(struct http_request *r, int status, const char *type, struct spill *s, uint64_t offset)
{
	if (s->fd >= 0) {
		http_reply_file(r, status, type, take_fd(&s->fd), (off_t)offset, s->size - offset);
		return;
	}
	buf_consume(&s->held, (size_t)offset);
	http_reply(r, status, type, &s->held);
}
