/*
 * The routes of the first service's grown form (/messages/list, /accounts/add, /instance/run_now...), where
 * they differ from those that rest.md names by more than their path; and what the files that change things
 * share.
 */
#ifndef CMD_API_GROWN_H
#define CMD_API_GROWN_H

#include "cmd/serve/serve.h"

http_handler serve_grown_add, serve_grown_add_batch;
http_handler serve_grown_messages, serve_grown_message, serve_grown_delete, serve_grown_cleanup,
    serve_grown_count, serve_grown_accounts, serve_grown_account, serve_grown_account_put,
    serve_grown_account_delete;
/* suspend.c: GET /tenants/get_suspended_batches, /tenants and /tenants/list */
http_handler serve_grown_suspended, serve_grown_tenants, serve_grown_tenant_list;
/* GET /status and /instance/status: {"ok":true,"active":...} */
http_handler serve_instance_status;

/* Whether the scheduler as a whole is on: 1, 0, or -1 with err. */
int serve_is_active(const struct spool *spool, struct err *err);
/* How many messages are not over, of a batch (NULL or "": of all).  -1 with err. */
int serve_count_active(struct spool *spool, const char *batch, uint64_t *ret, struct err *err);
/* Who gives an order, for history: "API, NAME-OF-TOKEN" or "API, ADDRESS". */
void serve_by(const struct http_request *r, char *ret, size_t size);
/* Deletes one: 1; 0: it is not in the queue, or in hand; -1 with err. */
int serve_delete_message(struct spool *spool, const char *id, const char *by, struct err *err);
/* Retires what ended so many seconds ago (-1: queue.retention), and answers. */
void serve_cleanup(struct http_request *r, struct serve *serve, int64_t seconds);

#endif
