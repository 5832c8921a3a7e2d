/*
 * Where a server listens: addresses, Unix sockets, and sockets handed over by systemd (the protocol
 * of sd_listen_fds(3)).  A set of listeners is filled, handed to http_server_new, and released when
 * the server is gone:
 *
 *	struct http_listeners set = HTTP_LISTENERS_INIT;
 *	if (http_listen_inherited(&set, &err) == 0)
 *		http_listen(&set, "127.0.0.1:8000", NULL, &err);
 *
 * All sockets are listening, non-blocking and close-on-exec.
 */
#ifndef HTTP_LISTEN_H
#define HTTP_LISTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

struct http_listener {
	int fd;
	bool tls;	/* speaks TLS: set by the caller, for sockets handed over too */
	bool loopback;	/* only this machine reaches it: 127.0.0.0/8, ::1, or a Unix socket */
	bool inherited; /* handed over: whoever did so holds it still, and goes on listening */
	char *path;	/* of a Unix socket that was made here; NULL otherwise */
	dev_t dev;	/* of path: it is unlinked only while it is still the same file */
	ino_t ino;
	char name[160]; /* "127.0.0.1:8000", "[::1]:8000" with the real port, "unix:/run/x" */
};

struct http_listeners {
	struct http_listener *v;
	size_t n;
};
#define HTTP_LISTENERS_INIT                                                                        \
	{                                                                                          \
		NULL, 0                                                                            \
	}

struct http_listen_options {
	bool tls;
	mode_t mode; /* of a Unix socket; 0: 0660 */
};

/*
 * Opens what where names: "ADDR:PORT", "NAME:PORT" (every address of the name), "[ADDR6]:PORT",
 * "*:PORT" or ":PORT" (all addresses), "/PATH" or "unix:/PATH".  Port 0 is any free one.  A Unix
 * socket that is left over is replaced, in one step, if nobody listens on it; one that answers, or a
 * file of another kind, is an error.  options may be NULL.  0, or -1 with err (EX_UNAVAILABLE where
 * the address is taken, EX_USAGE where the text is none).
 */
int http_listen(struct http_listeners *set, const char *where,
    const struct http_listen_options *options, struct err *err);

/*
 * Takes over the sockets that the environment announces for this process (LISTEN_PID, LISTEN_FDS),
 * and removes these variables so that no child is misled.  Returns how many, 0 where there are none,
 * or -1 with err where one is no listening stream socket.  Call it once, before there are threads.
 */
int http_listen_inherited(struct http_listeners *set, struct err *err);

/* True if other machines can reach one of them. */
bool http_listeners_public(const struct http_listeners *set);

/* Closes all, and unlinks the Unix sockets that were made here: the set is empty then. */
void http_listeners_release(struct http_listeners *set);

#endif
