#include "cmd/serve/auth.h"

#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/digest.h"
#include "base/fs.h"
#include "base/num.h"
#include "cmd/serve/host.h"
#include "cmd/serve/state.h"
#include "mail/mime.h"

#define TOKEN_MAX 1024 /* bytes: that of a setting */

struct token {
	char *name;
	unsigned char digest[DIGEST_SIZE];
	unsigned int scopes; /* 1 << enum serve_scope */
};

struct serve_tokens {
	struct token *v;
	size_t n;
};

static const char *const scope_words[] = {
	[SERVE_SEND] = "send",
	[SERVE_READ] = "read",
	[SERVE_ADMIN] = "admin",
};
#define N_SCOPES (sizeof scope_words / sizeof scope_words[0])

/* ---- the list ---------------------------------------------------------------------------------- */

static struct token *
add(struct serve_tokens *tokens, const char *name)
{
	struct token *t;

	tokens->v = xreallocarray(tokens->v, tokens->n + 1, sizeof *tokens->v);
	t = &tokens->v[tokens->n++];
	*t = (struct token){ .name = xstrdup(name) };
	return t;
}

static void
set_all_scopes(struct token *t)
{
	for (size_t i = 0; i < N_SCOPES; i++)
		t->scopes |= 1u << i;
}

/* The token in the first line of a file. */
static int
read_file(const char *path, const char *setting, struct token *t, struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT(TOKEN_MAX + 2);
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	size_t n;

	if (fd < 0 || fs_read_all(fd, &text) < 0)
		return err_sys(err, EX_CONFIG, "%s: %s", setting, path);
	n = strcspn(text.s, "\r\n");
	if (n == 0)
		return err_set(err, EX_CONFIG, "%s: %s: expected a token in the first line",
		    setting, path);
	digest_sha256(text.s, n, t->digest);
	explicit_bzero(text.s, text.cap);
	return 0;
}

static int
add_api_token(struct serve_tokens *tokens, const struct settings *s, struct err *err)
{
	const char *token = s->server.api_token;
	struct token *t;

	if (token != NULL && s->server.api_token_file != NULL)
		return err_set(err, EX_CONFIG,
		    "%s: server: expected one of api_token (or the environment's API_TOKEN) and "
		    "api_token_file",
		    s->file);
	if (token != NULL && *token == '\0')
		return err_set(err, EX_CONFIG, "server.api_token: must not be empty");
	if (token == NULL && s->server.api_token_file == NULL)
		return 0;
	t = add(tokens, "api_token");
	set_all_scopes(t);
	if (token != NULL) {
		digest_sha256(token, strlen(token), t->digest);
		return 0;
	}
	return read_file(s->server.api_token_file, "server.api_token_file", t, err);
}

static int
add_named(struct serve_tokens *tokens, const struct server_token *from, struct err *err)
{
	struct token *t;

	for (size_t i = 0; i < tokens->n; i++)
		if (strcmp(tokens->v[i].name, from->name) == 0)
			return err_set(err, EX_CONFIG,
			    "server.tokens: there are two of the name \"%s\"", from->name);
	t = add(tokens, from->name);
	for (size_t i = 0; i < from->scopes.n; i++)
		for (size_t k = 0; k < N_SCOPES; k++)
			if (scope_words[k] != NULL &&
			    strcmp(from->scopes.v[i], scope_words[k]) == 0)
				t->scopes |= 1u << k;
	if (from->token != NULL)
		digest_sha256(from->token, strlen(from->token), t->digest);
	else if (from->hash != NULL)
		digest_parse(strchr(from->hash, ':') + 1, t->digest);
	else
		return read_file(from->token_file, "server.tokens: token_file", t, err);
	return 0;
}

struct serve_tokens *
serve_tokens_new(const struct settings *s, struct err *err)
{
	struct serve_tokens *tokens = xcalloc(1, sizeof *tokens);
	const struct server_token *named = s->server.tokens.v;
	int result = add_api_token(tokens, s, err);

	for (size_t i = 0; i < s->server.tokens.n && result == 0; i++)
		result = add_named(tokens, &named[i], err);
	if (result == 0)
		return tokens;
	serve_tokens_free(tokens);
	return NULL;
}

void
serve_tokens_free(struct serve_tokens *tokens)
{
	if (tokens == NULL)
		return;
	for (size_t i = 0; i < tokens->n; i++)
		free(tokens->v[i].name);
	free(tokens->v);
	free(tokens);
}

bool
serve_tokens_none(const struct serve_tokens *tokens)
{
	return tokens->n == 0;
}

/* ---- a request --------------------------------------------------------------------------------- */

/* Digests are compared, so that neither the time taken nor the place of the first difference tells
 * anything of a token; and with all of them, so that it does not tell which. */
static const struct token *
find(const struct serve_tokens *tokens, const char *given)
{
	const struct token *found = NULL;
	unsigned char digest[DIGEST_SIZE];
	size_t n = strlen(given);

	if (n > TOKEN_MAX)
		return NULL;
	digest_sha256(given, n, digest);
	for (size_t i = 0; i < tokens->n; i++)
		if (digest_equal(tokens->v[i].digest, digest) && found == NULL)
			found = &tokens->v[i];
	return found;
}

/* A browser cannot be told to send a field of ours.  So on pages for people the token may also come as the
 * password of Basic (RFC 7617), which browsers ask for; nowhere else, as they also send it along with what
 * pages of other sites make them ask. */
static bool
is_for_people(const struct http_request *r)
{
	const struct serve_route_info *info = http_request_route(r)->info;

	return info->pages;
}

static int
refuse(struct http_request *r)
{
	/* RFC 9110 section 11.6.1 asks for a challenge. */
	http_set_header(r, "WWW-Authenticate",
	    is_for_people(r) && serve_asks_page(r) ?
		"Basic realm=\"mailq: any name, and an API token as the password\", "
		"charset=\"UTF-8\"" :
		"ApiKey header=\"X-API-Token\"");
	http_reply_detail(r, 401, "Invalid or missing API token");
	return -1;
}

/* The password of Authorization, decoded into ret; NULL where there is none. */
static const char *
basic_password(const struct http_request *r, struct buf *ret)
{
	const char *field = http_header(r, "Authorization");
	const char *colon;
	size_t at;

	if (field == NULL || http_header_count(r, "Authorization") != 1 ||
	    strncasecmp(field, "Basic ", 6) != 0)
		return NULL;
	field += 6 + strspn(field + 6, " ");
	if (mail_base64_decode(ret, field, strlen(field), &at) < 0 ||
	    memchr(ret->s, '\0', ret->len) != NULL)
		return NULL;
	colon = strchr(ret->s, ':');
	return colon != NULL ? colon + 1 : NULL;
}

static int
check_token(struct http_request *r, const struct serve_tokens *tokens, enum serve_scope scope)
{
	AUTO_BUF struct buf basic = BUF_INIT(4 * TOKEN_MAX);
	const char *given = http_header(r, "X-API-Token");
	const struct token *t;
	char text[200];

	if (given == NULL && is_for_people(r))
		given = basic_password(r, &basic);
	if (given == NULL || http_header_count(r, "X-API-Token") > 1)
		return refuse(r);
	t = find(tokens, given);
	explicit_bzero(basic.s, basic.cap);
	if (t == NULL)
		return refuse(r);
	http_set_user(r, t->name);
	if (t->scopes & 1u << scope)
		return 0;
	snprintf(text, sizeof text, "The token \"%s\" lacks the scope \"%s\"", t->name,
	    scope_words[scope]);
	http_reply_detail(r, 403, text);
	return -1;
}

static int
refuse_host(struct http_request *r)
{
	http_reply_detail(r, 403,
	    "This server is not asked for by this name: use an address, localhost or the machine's "
	    "name; others are named in server.hosts");
	return -1;
}

int
serve_admit(struct http_request *r, const struct http_route *route, void *arg)
{
	struct serve *serve = arg;
	const struct serve_route_info *info = route->info;
	const struct serve_config *config;
	const struct serve_tokens *tokens;
	int result = 0;

	/* Where no token is asked for, any page that a user of this machine looks at could act here. */
	if (strcmp(route->method, "GET") != 0 && http_is_cross_site(r)) {
		http_reply_detail(r, 403, "Requests from pages of other sites are refused");
		return -1;
	}
	if (info->scope == SERVE_OPEN)
		return 0;
	config = serve_config_peek(serve);
	tokens = serve_config_tokens(config);
	if (!serve_tokens_none(tokens))
		result = check_token(r, tokens, info->scope);
	else if (strcmp(http_address(r), "unix") != 0 &&
	    !serve_host_is_ours(&config->settings, &serve->options->listen, http_header(r, "Host")))
		result = refuse_host(r);
	serve_config_put(serve, config);
	return result;
}
