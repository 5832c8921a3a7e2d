#include "cmd/policy/account_params.h"

static enum smtp_tls
tls_of(const struct account *account)
{
	switch (account->tls) {
	case ACCOUNT_TLS_IMPLICIT:
		return SMTP_TLS_IMPLICIT;
	case ACCOUNT_STARTTLS_REQUIRED:
		return SMTP_TLS_REQUIRED;
	case ACCOUNT_STARTTLS_TRY:
		return SMTP_TLS_TRY;
	default:
		return SMTP_TLS_NONE;
	}
}

static enum smtp_auth
auth_of(const struct account *account)
{
	switch (account->auth) {
	case ACCOUNT_AUTH_PLAIN:
		return SMTP_AUTH_PLAIN;
	case ACCOUNT_AUTH_LOGIN:
		return SMTP_AUTH_LOGIN;
	case ACCOUNT_AUTH_XOAUTH2:
		return SMTP_AUTH_XOAUTH2;
	case ACCOUNT_AUTH_OAUTHBEARER:
		return SMTP_AUTH_OAUTHBEARER;
	default:
		return SMTP_AUTH_AUTO;
	}
}

void
account_params(const struct account *account, const struct settings *settings, const char *secret,
    struct smtp_params *ret)
{
	bool token =
	    account->auth == ACCOUNT_AUTH_XOAUTH2 || account->auth == ACCOUNT_AUTH_OAUTHBEARER;

	*ret = (struct smtp_params){
		.host = account->host,
		.port = (uint16_t)account->port,
		.tls = tls_of(account),
		.no_verify = !account->tls_verify,
		.ca_file = account->ca_file,
		.ca_dir = account->ca_dir,
		.cert_file = account->client_cert,
		.key_file = account->client_key,
		.user = account->user,
		.password = account->user != NULL && !token ? secret : NULL,
		.bearer = account->user != NULL && token ? secret : NULL,
		.auth = auth_of(account),
		.auth_without_tls = account->allow_plaintext_auth,
		.force_8bit = account->force_8bit,
		.pipeline_messages = account->pipeline_messages,
		.ehlo_name = settings->delivery.hostname,
		.timeouts = { .connect = account->timeouts.connect,
		    .greeting = account->timeouts.greeting,
		    .command = account->timeouts.command,
		    .data_start = account->timeouts.data,
		    .data_block = account->timeouts.body,
		    .data_end = account->timeouts.dot },
	};
}
