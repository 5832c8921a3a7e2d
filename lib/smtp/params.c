#include "smtp/params.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"

static void
fill(int64_t *t, int64_t seconds)
{
	if (*t <= 0)
		*t = seconds * USEC;
}

void
smtp_timeouts_fill(struct smtp_timeouts *t)
{
	fill(&t->connect, 30);
	fill(&t->greeting, 300);
	fill(&t->command, 300);
	fill(&t->data_start, 120);
	fill(&t->data_block, 180);
	fill(&t->data_end, 600);
	fill(&t->quit, 5);
}

/* All but letters, digits, '.', '-' and '_' as %XX. */
static void
add_escaped(struct buf *url, const char *text)
{
	unsigned char c;

	for (; (c = (unsigned char)*text) != '\0'; text++) {
		if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		    c == '.' || c == '-' || c == '_')
			buf_addc(url, (char)c);
		else
			buf_addf(url, "%%%02X", c);
	}
}

int
smtp_params_url(const struct smtp_params *p, struct buf *url)
{
	const char *host = p->host;
	const char *c;

	if (host == NULL || host[0] == '\0')
		return -1;
	for (c = host; *c != '\0'; c++)
		if ((unsigned char)*c <= ' ' || *c == 0x7f || strchr("/?#@[]\\%", *c) != NULL)
			return -1;
	buf_adds(url, p->tls == SMTP_TLS_IMPLICIT ? "smtps://" : "smtp://");
	buf_addf(url, strchr(host, ':') != NULL ? "[%s]" : "%s", host);
	buf_addf(url, ":%u/", p->port != 0 ? p->port : p->tls == SMTP_TLS_IMPLICIT ? 465u : 25u);
	if (p->ehlo_name != NULL)
		add_escaped(url, p->ehlo_name);
	return url->len < url->max ? 0 : -1;
}

const char *
smtp_params_login(const struct smtp_params *p)
{
	switch (p->auth) {
	case SMTP_AUTH_PLAIN:
		return "AUTH=PLAIN";
	case SMTP_AUTH_LOGIN:
		return "AUTH=LOGIN";
	case SMTP_AUTH_XOAUTH2:
		return "AUTH=XOAUTH2";
	case SMTP_AUTH_OAUTHBEARER:
		return "AUTH=OAUTHBEARER";
	case SMTP_AUTH_AUTO:
		break;
	}
	return p->bearer != NULL ? "AUTH=OAUTHBEARER;AUTH=XOAUTH2" : "AUTH=PLAIN;AUTH=LOGIN";
}

bool
smtp_is_loopback(const struct sockaddr *address)
{
	const struct in6_addr *six =
	    &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
	const struct sockaddr_in *four = (const void *)address;

	if (address->sa_family == AF_INET)
		return ntohl(four->sin_addr.s_addr) >> 24 == 127;
	if (address->sa_family == AF_INET6)
		return IN6_IS_ADDR_LOOPBACK(six) ||
		    (IN6_IS_ADDR_V4MAPPED(six) && six->s6_addr[12] == 127);
	return false;
}

bool
smtp_params_need_tls(const struct smtp_params *p)
{
	struct in6_addr six;
	struct in_addr four;

	if (p->user == NULL || p->auth_without_tls)
		return p->tls == SMTP_TLS_REQUIRED;
	if (p->tls == SMTP_TLS_REQUIRED || p->tls == SMTP_TLS_IMPLICIT)
		return true;
	if (strcasecmp(p->host, "localhost") == 0)
		return false;
	if (inet_pton(AF_INET, p->host, &four) == 1)
		return ntohl(four.s_addr) >> 24 != 127;
	return inet_pton(AF_INET6, p->host, &six) != 1 || !IN6_IS_ADDR_LOOPBACK(&six);
}
