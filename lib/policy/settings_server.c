/* What mailq.conf says of the API's server: checks of single settings, and its tokens. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "policy/settings.h"

#define T(member) CONF_AT(struct server_token, member)
#define HASH_PREFIX "sha256:"
#define HASH_DIGITS 64

const struct conf_item server_token_schema[] = {
	{ "name", CONF_STRING, T(name), .max = 64 },
	{ "token", CONF_STRING, T(token) },
	{ "token_file", CONF_PATH, T(token_file) },
	{ "hash", CONF_STRING, T(hash), .max = sizeof HASH_PREFIX - 1 + HASH_DIGITS,
	    .check = server_hash_check },
	{ "scopes", CONF_STRINGS, T(scopes), .choices = "send read admin" },
	{ 0 },
};

int
server_hash_check(void *value, const char *place, struct err *err)
{
	const char *hash = *(char **)value, *digits;

	(void)place;
	if (hash == NULL)
		return 0;
	digits = hash + strlen(HASH_PREFIX);
	if (strncmp(hash, HASH_PREFIX, strlen(HASH_PREFIX)) == 0 && strlen(digits) == HASH_DIGITS &&
	    strspn(digits, "0123456789abcdefABCDEF") == HASH_DIGITS)
		return 0;
	return err_set(err, EX_CONFIG, "expected \"sha256:\" and 64 hexadecimal digits");
}

int
server_token_check(void *token, const char *place, struct err *err)
{
	const struct server_token *t = token;

	(void)place;
	if (t->name == NULL || *t->name == '\0')
		return err_set(err, EX_CONFIG, "name: expected a name for the log");
	if ((t->token != NULL) + (t->token_file != NULL) + (t->hash != NULL) != 1)
		return err_set(err, EX_CONFIG, "\"%s\": expected one of token, token_file, hash",
		    t->name);
	if (t->token != NULL && *t->token == '\0')
		return err_set(err, EX_CONFIG, "token: must not be empty");
	if (t->scopes.n == 0)
		return err_set(err, EX_CONFIG,
		    "scopes: expected at least one of \"send\", \"read\", \"admin\"");
	return 0;
}

int
server_socket_mode_check(void *value, const char *place, struct err *err)
{
	const char *mode = *(char **)value;
	size_t n = mode != NULL ? strlen(mode) : 0;

	(void)place;
	if (n < 3 || strspn(mode, "01234567") != n || (n == 4 && *mode != '0'))
		return err_set(err, EX_CONFIG, "expected a mode in octal, such as \"0660\"");
	return 0;
}

unsigned int
server_socket_mode(const struct settings *s)
{
	return (unsigned int)strtoul(s->server.socket_mode, NULL, 8);
}
