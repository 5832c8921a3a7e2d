/* Every route of the API, and what it asks of who calls it. */
#include "cmd/serve.h"
#include "cmd/serve_grown.h"

#define SMALL (64u * 1024)   /* bytes of a body that holds names and numbers */
#define MIDDLE (8u << 20)    /* of one that may list many */
#define LARGE SERVE_BODY_MAX /* server.max_body */

#define ROUTE(method_, path_, handler_, scope_, max_, id_)                                         \
	{                                                                                          \
		.method = (method_), .path = (path_), .handle = (handler_), .max_body = (max_),    \
		.info = &(const struct serve_route_info){ SERVE_##scope_, id_ },                   \
	}
#define GET(path, handler, scope, id) ROUTE("GET", path, handler, scope, 0, id)
#define POST(path, handler, scope, max, id) ROUTE("POST", path, handler, scope, max, id)
/* A form, read as it comes. */
#define FORM(path_, id_)                                                                           \
	{                                                                                          \
		.method = "POST", .path = (path_), .handle = serve_form, .max_body = LARGE,        \
		.begin = serve_form_begin, .piece = serve_form_piece, .end = serve_form_end,       \
		.info = &(const struct serve_route_info){ SERVE_SEND, id_ },                       \
	}

const struct http_route serve_routes[] = {
	POST("/commands/add-messages", serve_add_messages, SEND, LARGE, "addMessages"),

	POST("/commands/send-message", serve_send_message, SEND, LARGE, "sendMessage"),
	POST("/commands/run-now", serve_run_now, SEND, SMALL, "runNow"),
	POST("/commands/delete-messages", serve_delete_messages, ADMIN, MIDDLE, "deleteMessages"),
	POST("/commands/cleanup-messages", serve_cleanup_messages, ADMIN, SMALL, "cleanupMessages"),
	GET("/messages", serve_list_messages, READ, "listMessages"),
	GET("/pending", serve_pending, READ, "pending"),
	GET("/deferred", serve_deferred, READ, "deferred"),
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
	POST("/messages/add_batch", serve_add_messages, SEND, LARGE, "grownAddBatch"),
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

	/* Behind the names above: an id is what is none of them. */
	GET("/messages/{id}", serve_show_message, READ, "showMessage"),

	/* The second service. */
	FORM("/api/v1/send_email/", "sendEmail"),
	FORM("/api/v1/send_email", "sendEmailBare"),
	GET("/api/v1/send_email/status", serve_form_status, READ, "emailStatus"),

	/* About this server; the documentation under both services' names. */
	{ .method = "GET",
	    .path = "/health",
	    .handle = serve_health,
	    .quick = true,
	    .info = &(const struct serve_route_info){ SERVE_OPEN, "health" } },
	GET("/status", serve_status, READ, "status"),
	GET("/metrics", serve_metrics, READ, "metrics"),
	GET("/openapi.json", serve_openapi, OPEN, "openapi"),
	GET("/api/openapi.json", serve_openapi, OPEN, "apiOpenapi"),
	GET("/docs", serve_swagger, OPEN, "docs"),
	GET("/api/openapi", serve_swagger, OPEN, "apiDocs"),
	GET("/redoc", serve_redoc, OPEN, "redoc"),
	GET("/assets/{name}", serve_asset, OPEN, "asset"),

	/* What the capture transport has caught. */
	GET("/captured", serve_captured_list, READ, "listCaptured"),
	GET("/captured/{id}", serve_captured_show, READ, "showCaptured"),
	GET("/captured/{id}/html", serve_captured_html, READ, "capturedHtml"),
	GET("/captured/{id}/parts/{part}", serve_captured_part, READ, "capturedPart"),

	HTTP_ROUTES_END
};
