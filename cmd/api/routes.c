/* Every route of the API, and what it asks of who calls it. */
#include "cmd/api/grown.h"
#include "cmd/serve/large.h"
#include "cmd/serve/serve.h"

#define SMALL (64u * 1024)   /* bytes of a body that holds names and numbers */
#define MIDDLE (8u << 20)    /* of one that may list many */
#define LARGE SERVE_BODY_MAX /* server.max_body */

#define ROUTE(method_, path_, handler_, scope_, max_, id_)                                         \
	{                                                                                          \
		.method = (method_), .path = (path_), .handle = (handler_), .max_body = (max_),    \
		.info = &(const struct serve_route_info){ SERVE_##scope_, id_, false },            \
	}
#define GET(path, handler, scope, id) ROUTE("GET", path, handler, scope, 0, id)
#define POST(path, handler, scope, max, id) ROUTE("POST", path, handler, scope, max, id)
/* For people, too. */
#define PAGE(path_, handler_, id_)                                                                 \
	{                                                                                          \
		.method = "GET", .path = (path_), .handle = (handler_),                            \
		.info = &(const struct serve_route_info){ SERVE_READ, id_, true },                 \
	}
/* Messages in JSON: what is large is read as it comes. */
#define MESSAGES(path_, handler_, id_)                                                             \
	{                                                                                          \
		.method = "POST", .path = (path_), .handle = (handler_), .max_body = LARGE,        \
		.begin = serve_large_begin, .piece = serve_large_piece, .end = serve_large_end,    \
		.keep_body = SERVE_HEAVY,                                                          \
		.info = &(const struct serve_route_info){ SERVE_SEND, id_, false },                \
	}
/* The same where a few are composed in the polling thread, and others make them durable. */
#define ADD(path_, handler_, id_)                                                                  \
	{                                                                                          \
		.method = "POST", .path = (path_), .handle = (handler_), .max_body = LARGE,        \
		.begin = serve_large_begin, .piece = serve_large_piece, .end = serve_large_end,    \
		.keep_body = SERVE_HEAVY, .quick = true, .quick_body = 16 * 1024,                  \
		.info = &(const struct serve_route_info){ SERVE_SEND, id_, false },                \
	}
/* A form, read as it comes. */
#define FORM(path_, id_)                                                                           \
	{                                                                                          \
		.method = "POST", .path = (path_), .handle = serve_form, .max_body = LARGE,        \
		.begin = serve_form_begin, .piece = serve_form_piece, .end = serve_form_end,       \
		.info = &(const struct serve_route_info){ SERVE_SEND, id_, false },                \
	}

const struct http_route serve_routes[] = { ADD("/commands/add-messages", serve_add_messages,
					       "addMessages"),

	MESSAGES("/commands/send-message", serve_send_message, "sendMessage"),
	POST("/commands/run-now", serve_run_now, SEND, SMALL, "runNow"),
	POST("/commands/delete-messages", serve_delete_messages, ADMIN, MIDDLE, "deleteMessages"),
	POST("/commands/cleanup-messages", serve_cleanup_messages, ADMIN, SMALL, "cleanupMessages"),
	GET("/messages", serve_list_messages, READ, "listMessages"),
	GET("/pending", serve_pending, READ, "pending"),
	GET("/deferred", serve_deferred, READ, "deferred"),
	GET("/events", serve_events, READ, "events"),
	POST("/commands/suspend", serve_suspend, ADMIN, SMALL, "suspend"),
	POST("/commands/activate", serve_activate, ADMIN, SMALL, "activate"),
	POST("/commands/rules", serve_rules_create, ADMIN, SMALL, "createRule"),
	GET("/commands/rules", serve_rules_list, READ, "listRules"),
	ROUTE("PATCH", "/commands/rules/{id}", serve_rules_change, ADMIN, SMALL, "changeRule"),
	ROUTE("DELETE", "/commands/rules/{id}", serve_rules_delete, ADMIN, SMALL, "deleteRule"),
	POST("/account", serve_account_put, ADMIN, SMALL, "putAccount"),
	GET("/accounts", serve_accounts_list, READ, "listAccounts"),
	ROUTE("DELETE", "/account/{id}", serve_account_delete, ADMIN, SMALL, "deleteAccount"),

	/* The first service's grown form. */
	ADD("/messages/add", serve_grown_add, "grownAdd"),
	ADD("/messages/add_batch", serve_grown_add_batch, "grownAddBatch"),
	POST("/messages/delete_batch", serve_delete_messages, ADMIN, MIDDLE, "grownDeleteBatch"),
	POST("/messages/delete", serve_grown_delete, ADMIN, SMALL, "grownDelete"),
	GET("/messages/list", serve_grown_messages, READ, "grownMessages"),
	GET("/messages/get", serve_grown_message, READ, "grownMessage"),
	GET("/messages/cleanup", serve_grown_cleanup, ADMIN, "grownCleanup"),
	GET("/messages/count_active", serve_grown_count, READ, "grownCountActive"),
	GET("/messages/count_pending_for_tenant", serve_grown_count, READ, "grownCountPending"),
	POST("/accounts/add", serve_grown_account_put, ADMIN, SMALL, "grownAddAccount"),
	GET("/accounts/list", serve_grown_accounts, READ, "grownAccounts"),
	GET("/accounts/get", serve_grown_account, READ, "grownAccount"),
	POST("/accounts/delete", serve_grown_account_delete, ADMIN, SMALL, "grownDeleteAccount"),
	POST("/instance/run_now", serve_run_now, SEND, SMALL, "grownRunNow"),
	POST("/instance/suspend", serve_suspend, ADMIN, SMALL, "grownSuspend"),
	POST("/instance/activate", serve_activate, ADMIN, SMALL, "grownActivate"),
	GET("/instance/status", serve_instance_status, READ, "grownStatus"),
	POST("/tenants/suspend_batch", serve_suspend, ADMIN, SMALL, "grownSuspendBatch"),
	POST("/tenants/activate_batch", serve_activate, ADMIN, SMALL, "grownActivateBatch"),
	GET("/tenants/get_suspended_batches", serve_grown_suspended, READ, "grownSuspended"),
	GET("/tenants/list", serve_grown_tenant_list, READ, "grownTenantList"),
	GET("/tenants", serve_grown_tenants, READ, "grownTenants"),

	/* Behind the names above: an id is what is none of them. */
	GET("/messages/{id}", serve_show_message, READ, "showMessage"),

	/* The second service. */
	FORM("/api/v1/send_email/", "sendEmail"), FORM("/api/v1/send_email", "sendEmailBare"),
	GET("/api/v1/send_email/status", serve_form_status, READ, "emailStatus"),

	/* About this server; the documentation under both services' names. */
	{ .method = "GET",
	    .path = "/health",
	    .handle = serve_health,
	    .quick = true,
	    .info = &(const struct serve_route_info){ SERVE_OPEN, "health", false } },
	GET("/status", serve_instance_status, READ, "status"),
	GET("/metrics", serve_metrics, READ, "metrics"),
	GET("/openapi.json", serve_openapi, OPEN, "openapi"),
	GET("/api/openapi.json", serve_openapi, OPEN, "apiOpenapi"),
	GET("/docs", serve_swagger, OPEN, "docs"),
	GET("/api/openapi", serve_swagger, OPEN, "apiDocs"),
	GET("/redoc", serve_redoc, OPEN, "redoc"),
	GET("/assets/{name}", serve_asset, OPEN, "asset"),

	/* What the capture transport has caught. */
	PAGE("/captured", serve_captured_list, "listCaptured"),
	PAGE("/captured/{id}", serve_captured_show, "showCaptured"),
	PAGE("/captured/{id}/html", serve_captured_html, "capturedHtml"),
	PAGE("/captured/{id}/parts/{part}", serve_captured_part, "capturedPart"),

	HTTP_ROUTES_END };
