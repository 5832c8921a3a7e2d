/* Who may do what: tokens and their scopes. */
#ifndef CMD_SERVE_AUTH_H
#define CMD_SERVE_AUTH_H

#include "http/server.h"
#include "policy/settings.h"

struct serve_tokens;

/* Those of server.api_token (every scope), server.api_token_file and server.tokens; files are read here.
 * What is kept of each is its SHA-256.  NULL with err (EX_CONFIG). */
struct serve_tokens *serve_tokens_new(const struct settings *settings, struct err *err);
void serve_tokens_free(struct serve_tokens *tokens);
/* None at all: then everybody may do everything. */
bool serve_tokens_none(const struct serve_tokens *tokens);

/* Fits http_config.admit, with the struct serve as arg. */
int serve_admit(struct http_request *r, const struct http_route *route, void *arg);

#endif
